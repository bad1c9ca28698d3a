import { checkTensor } from './check-sample.js';
import { QuantError } from './errors.js';
import type { Model } from './load-model.js';
import { parseRecipe, type Recipe, type RecipeInput, type RecipePreset } from './recipe.js';
import { countOf, Owned, progressOf, sampleSpec } from './toolkit.js';
import type { Feeds, RunOptions, Samples, Tensor } from './types.js';

/** Runs a model and returns inner values by name: our engine is the default, `onnxruntimeRunner` another. */
export interface Runner {
  /** Called once with the names to return. */
  prepare(model: Model, values: readonly string[]): Promise<void>;
  run(feeds: Feeds): Promise<Readonly<Record<string, Tensor>>>;
  dispose(): Promise<void>;
}

export interface CalibrateOptions {
  readonly recipe?: RecipePreset | RecipeInput;
  /** Where an operator is missing here: see `onnxruntimeRunner`. */
  readonly runner?: Runner;
  /** State that a model carries from one run to the next: output name by input name (Silero VAD: `{ state: 'stateN' }`). */
  readonly feedback?: Readonly<Record<string, string>>;
}

/** What was seen of every activation over all samples; of fixed size whatever their number. */
export class Calibration extends Owned {
  /** @internal */
  constructor(
    /** @internal */
    readonly model: Model,
    /** @internal */
    readonly id: number,
    readonly recipe: Recipe,
    readonly sampleCount: number,
  ) {
    super(`a calibration of ${model.info.fileName}`, () => model.toolkit.call('disposeCalibration', { calibrationId: id }));
  }
}

/** Names of feedback are those of the model, or there is no use in starting. */
export function checkFeedback({ info }: Model, feedback: Readonly<Record<string, string>>): void {
  const check = (kind: 'input' | 'output', name: string): void => {
    const names = info[`${kind}s`].map((value) => value.name);
    if (!names.includes(name))
      throw new QuantError(
        'invalid_argument',
        `feedback: the model has no ${kind} '${name}'; its ${kind}s are ${names.join(', ')}`,
        name,
      );
  };
  for (const [input, output] of Object.entries(feedback)) {
    check('input', input);
    check('output', output);
  }
}

/** What the outputs of a run feed to the next, where the model carries state. */
export function nextState(
  feedback: Readonly<Record<string, string>>,
  outputs: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const state: Record<string, Tensor> = {};
  for (const [input, output] of Object.entries(feedback)) {
    const tensor = outputs[output];
    if (tensor === undefined) throw new QuantError('invalid_argument', `feedback: the model has no output '${output}'`, output);
    state[input] = tensor;
  }
  return state;
}

/**
 * Runs the model over samples, one at a time, and keeps what the recipe's calibrator needs.
 *
 * @throws QuantError `unsupported` where an operator is missing here and no runner was given; `bad_data` for samples
 * @example
 * const calibration = await calibrate(model, samples, { recipe: 'w8a8' }, { onProgress });
 */
export async function calibrate(
  model: Model,
  samples: Samples,
  options: CalibrateOptions = {},
  run: RunOptions = {},
): Promise<Calibration> {
  model.checkLive();
  const recipe = parseRecipe(options.recipe);
  const { toolkit } = model;
  const { runner, feedback = {} } = options;
  checkFeedback(model, feedback);
  const { calibrationId, values } = await toolkit.call(
    'beginCalibration',
    { modelId: model.id, recipe, external: runner !== undefined },
    { ...(run.signal && { signal: run.signal }) },
  );
  const tell = progressOf('calibrate', countOf(samples), run.onProgress);
  let done = 0;
  try {
    await runner?.prepare(model, values);
    let state: Record<string, Tensor> = {};
    tell(0);
    for await (const sample of samples) {
      run.signal?.throwIfAborted();
      const spec = await sampleSpec(sample, state);
      if (runner !== undefined) {
        const feeds =
          spec.kind === 'feeds'
            ? spec.feeds
            : {
                [spec.input]: await toolkit.call('preprocess', { sample: spec }, run.signal ? { signal: run.signal } : {}),
                ...state,
              };
        const seen = await runner.run(feeds);
        for (const [name, tensor] of Object.entries(seen)) checkTensor(tensor, `the runner's value '${name}'`, name);
        await toolkit.call(
          'observeCalibration',
          { calibrationId, values: { ...feeds, ...seen } },
          run.signal ? { signal: run.signal } : {},
        );
        state = nextState(feedback, seen);
      } else {
        const { outputs } = await toolkit.call(
          'feedCalibration',
          { calibrationId, sample: spec },
          run.signal ? { signal: run.signal } : {},
        );
        state = nextState(feedback, outputs);
      }
      tell(++done);
    }
    if (done === 0) throw new QuantError('bad_data', 'there is no calibration sample; give at least one (32 to 300 are usual)');
  } catch (error) {
    void toolkit.call('disposeCalibration', { calibrationId }).catch(() => undefined);
    throw error;
  } finally {
    await runner?.dispose();
  }
  return new Calibration(model, calibrationId, recipe, done);
}
