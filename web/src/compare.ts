import { QuantError } from './errors.js';
import { checkFeedback, nextState } from './calibrate.js';
import type { Model } from './load-model.js';
import type { Comparison } from './report/schema.js';
import { countOf, progressOf, sampleSpec } from './toolkit.js';
import type { RunOptions, Samples, Tensor } from './types.js';

export interface CompareOptions {
  /** See `CalibrateOptions.feedback`: each model carries its own state, as it does at work; so errors of the state add up. */
  readonly feedback?: Readonly<Record<string, string>>;
}

/**
 * Runs two models on the same samples: SQNR and cosine of every value that both have, agreement of the outputs' top-1, and
 * accuracy where samples have labels, with 95 % intervals.
 *
 * @param reference the float model
 * @param quantized what was made of it
 * @throws QuantError `unsupported`, `bad_data`, `shape_mismatch`
 * @example
 * const { outputs, accuracy } = await compare(model, result.model, evaluationSamples);
 */
export async function compare(
  reference: Model,
  quantized: Model,
  samples: Samples,
  options: CompareOptions = {},
  run: RunOptions = {},
): Promise<Comparison> {
  reference.checkLive();
  quantized.checkLive();
  const { toolkit } = reference;
  if (quantized.toolkit !== toolkit) throw new QuantError('invalid_argument', 'both models must be loaded by the same toolkit');
  const { feedback = {} } = options;
  checkFeedback(reference, feedback);
  const stop: RunOptions = run.signal ? { signal: run.signal } : {};
  const { comparisonId } = await toolkit.call('beginComparison', { referenceId: reference.id, quantizedId: quantized.id }, stop);
  try {
    const tell = progressOf('compare', countOf(samples), run.onProgress);
    let state: Record<string, Tensor> = {};
    let quantizedState: Record<string, Tensor> = {};
    let done = 0;
    tell(0);
    for await (const sample of samples) {
      run.signal?.throwIfAborted();
      const spec = await sampleSpec(sample, state);
      const outputs = await toolkit.call(
        'feedComparison',
        { comparisonId, sample: spec, quantizedState, label: sample.label ?? -1 },
        stop,
      );
      state = nextState(feedback, outputs.reference);
      quantizedState = nextState(feedback, outputs.quantized);
      tell(++done);
    }
    if (done === 0) throw new QuantError('bad_data', 'there is no sample to compare on');
    return await toolkit.call('finishComparison', { comparisonId }, stop);
  } finally {
    void toolkit.call('disposeComparison', { comparisonId }).catch(() => undefined);
  }
}
