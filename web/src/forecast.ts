import type { Model } from './load-model.js';
import { parseRecipe, type RecipeInput, type RecipePreset, useOfSamples } from './recipe.js';
import { bytesText } from './report/format.js';
import type { RunOptions } from './types.js';

export interface ForecastOptions {
  readonly recipe?: RecipePreset | RecipeInput;
  /** True where samples are run to measure the result. */
  readonly measures?: boolean;
}

/** What a job takes of memory before it is begun: an estimate, within a factor of two for models whose shapes are known. */
export interface Forecast {
  readonly neededBytes: number;
  /** What the engine may have in all: 4 GiB, or what the machine has. */
  readonly allowedBytes: number;
  readonly isEnough: boolean;
  /** "needs about 120 MB of memory, of which 4.29 GB are allowed" */
  readonly text: string;
}

/** Codes, scales and the floats they are made of, one tensor at a time. */
const copiesOfLargest = 2.5;
/** A session holds each weight as it is in the file and once more as its kernel wants it. */
const copiesOfWeights = 2;

/**
 * How much memory quantizing the model will take.
 *
 * @example
 * const { isEnough, text } = await forecast(model, { recipe: 'w8a8' });
 */
export async function forecast(model: Model, options: ForecastOptions = {}, run: RunOptions = {}): Promise<Forecast> {
  model.checkLive();
  const use = useOfSamples(parseRecipe(options.recipe));
  const { activationBytes, heldBytes, allowedBytes } = await model.toolkit.call('memory', { modelId: model.id }, run);
  const sizes = model.info.tensors.map(({ bytes }) => bytes);
  const weightBytes = sizes.reduce((sum, bytes) => sum + bytes, 0);
  const session = copiesOfWeights * weightBytes + 2 * activationBytes;
  const sessions =
    (use === 'needed' || (use === 'taken' && options.measures === true) ? 1 : 0) + (options.measures === true ? 1.5 : 0);
  const work = copiesOfLargest * sizes.reduce((most, bytes) => Math.max(most, bytes), 0) + sessions * session;
  const neededBytes = Math.round(heldBytes + work);
  const isEnough = neededBytes <= allowedBytes;
  const text = `needs about ${bytesText(neededBytes)} of memory, of which ${bytesText(allowedBytes)} are allowed`;
  return { neededBytes, allowedBytes, isEnough, text };
}
