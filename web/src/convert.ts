import { QuantError } from './errors.js';
import { Model } from './load-model.js';
import { rewrittenName } from './output-name.js';
import type { QuantFormat } from './recipe.js';
import { disposeSymbol, nameOfPath, progressOf } from './toolkit.js';
import type { RunOptions } from './types.js';
import type { ExternalData } from './quantize.js';
import { writeModel, type WriteTo } from './write-model.js';

export interface ConvertOptions extends WriteTo {
  readonly format: QuantFormat;
}

export interface ConvertResult {
  /** The model file; empty where it was written to a path. */
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  readonly external: ExternalData | null;
  /** What was done, and what could not be. */
  readonly messages: readonly string[];
  /** The converted model, ready to run, compare or quantize, named as its file: dispose it. */
  readonly model: Model;
  dispose(): void;
  [Symbol.dispose](): void;
}

async function converted(model: Model, format: 'float' | QuantFormat, to: WriteTo, run: RunOptions): Promise<ConvertResult> {
  model.checkLive();
  const { toolkit } = model;
  const tell = progressOf('convert', 1, run.onProgress);
  tell(0);
  const fileName = to.outputPath === undefined ? rewrittenName(model.info.fileName, format) : nameOfPath(to.outputPath);
  const answer = await toolkit.call('convertModel', { modelId: model.id, format, fileName }, run);
  const made = new Model(toolkit, answer.modelId, answer.info);
  try {
    if (answer.changes === 0) {
      throw new QuantError(
        'nothing_quantized',
        format === 'float' ? 'the model is a float model already' : `nothing of the model has another form in '${format}'`,
      );
    }
    tell(1);
    const written = await writeModel(made, answer, to, run);
    return {
      ...written,
      messages: answer.messages,
      model: made,
      dispose: () => {
        made.dispose();
      },
      [disposeSymbol]: () => {
        made.dispose();
      },
    };
  } catch (error) {
    made.dispose();
    throw error;
  }
}

/**
 * The same quantized model in the other form: float operators between QuantizeLinear and DequantizeLinear (`qdq`), or operators on
 * codes (`qoperator`).
 *
 * @returns the file and the model: dispose it
 * @throws QuantError `nothing_quantized` where there is nothing to convert, `unsupported` where the opset cannot be raised
 * @example
 * const result = await convert(model, { format: 'qoperator' });
 */
export async function convert(model: Model, options: ConvertOptions, run: RunOptions = {}): Promise<ConvertResult> {
  const { format, ...to } = options;
  if (format !== 'qdq' && format !== 'qoperator')
    throw new QuantError('invalid_argument', `format is '${String(format)}'; one of qdq, qoperator is needed`, 'format');
  return await converted(model, format, to, run);
}

/**
 * The float model that a quantized one stands for: weights dequantized, no rounding between nodes.
 *
 * @returns the file and the model: dispose it
 * @throws QuantError `nothing_quantized` for a float model
 * @example
 * const float = await dequantize(model);
 */
export async function dequantize(model: Model, to: WriteTo = {}, run: RunOptions = {}): Promise<ConvertResult> {
  return await converted(model, 'float', to, run);
}
