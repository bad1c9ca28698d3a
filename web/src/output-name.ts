import type { Recipe } from './recipe.js';

/** Presets whose files carry their name. */
const named: readonly string[] = ['int8', 'uint8', 'q4', 'q4f16', 'bnb4'];

/**
 * How the file is called that a recipe makes of `model.onnx`, as transformers.js looks for it: model_quantized.onnx,
 * model_fp16.onnx, model_q4.onnx ...
 *
 * @param preset the name that the recipe was asked for by, if it was
 */
export function outputName(fileName: string, recipe: Recipe, preset?: string): string {
  const { scheme, dtype } = recipe.weight;
  const stem = fileName.replace(/\.(onnx|ort)$/i, '');
  const of = (suffix: string): string => `${stem}_${suffix}.onnx`;
  if (recipe.mode === 'float16') return of('fp16');
  if (preset !== undefined && named.includes(preset)) return of(preset);
  if (scheme === 'nf4' || scheme === 'fp4') return of('bnb4');
  if (recipe.mode === 'weight_only' && /^[iu]4/.test(scheme === '' ? dtype : scheme))
    return of(recipe.float16.rest ? 'q4f16' : 'q4');
  return of('quantized');
}
