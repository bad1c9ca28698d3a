import type { Model } from './load-model.js';
import type { ModelInfo } from './report/schema.js';
import type { RunOptions } from './types.js';

/**
 * Inputs, outputs, operators, tensors and metadata of a model, and whether our engine runs it.
 *
 * @example
 * const { inputs, operators } = await inspect(model);
 */
export async function inspect(model: Model, run: RunOptions = {}): Promise<ModelInfo> {
  model.checkLive();
  return await model.toolkit.call('inspect', { modelId: model.id }, run);
}
