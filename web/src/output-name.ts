import type { QuantFormat, Recipe } from './recipe.js';

/** Presets whose files carry their name. */
const named: readonly string[] = ['int8', 'uint8', 'q4', 'q4f16', 'bnb4'];

const withSuffix = (fileName: string, suffix: string): string => `${fileName.replace(/\.(onnx|ort)$/i, '')}_${suffix}.onnx`;

/**
 * How the file is called that a recipe makes of `model.onnx`, as transformers.js looks for it: model_quantized.onnx,
 * model_fp16.onnx, model_q4.onnx ...
 *
 * @param preset the name that the recipe was asked for by, if it was
 */
export function outputName(fileName: string, recipe: Recipe, preset?: string): string {
  const { scheme, dtype } = recipe.weight;
  const of = (suffix: string): string => withSuffix(fileName, suffix);
  if (recipe.mode === 'float16') return of('fp16');
  if (preset !== undefined && named.includes(preset)) return of(preset);
  if (scheme === 'nf4' || scheme === 'fp4') return of('bnb4');
  if (recipe.mode === 'weight_only' && /^[iu]4/.test(scheme === '' ? dtype : scheme))
    return of(recipe.float16.rest ? 'q4f16' : 'q4');
  return of('quantized');
}

/** The same for a quantized model in another form: model_float.onnx, model_qdq.onnx, model_qoperator.onnx. */
export function rewrittenName(fileName: string, form: 'float' | QuantFormat): string {
  return withSuffix(fileName, form);
}
