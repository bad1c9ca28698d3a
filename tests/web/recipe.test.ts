import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { QuantError } from '../../web/src/errors.js';
import { outputName, rewrittenName } from '../../web/src/output-name.js';
import {
  defaultRecipe,
  maxRecipeBytes,
  parseRecipe,
  parseRecipeJson,
  recipeJson,
  recipePresets,
  schemeNames,
  useOfSamples,
  type RecipeInput,
  type RecipePreset,
} from '../../web/src/recipe.js';

const refuses = (work: () => unknown, wording: RegExp) => {
  assert.throws(work, (error) => error instanceof QuantError && error.code === 'bad_recipe' && wording.test(error.message));
};
const parseAny = (value: unknown) => parseRecipe(value as RecipeInput);

void test('an empty recipe is the default one', () => {
  assert.deepEqual(parseRecipe({}), defaultRecipe);
  assert.deepEqual(parseRecipe(), defaultRecipe);
});

void test('every preset parses, and says what its name promises', () => {
  for (const name of Object.keys(recipePresets) as RecipePreset[]) parseRecipe(name);
  assert.equal(parseRecipe('fp16').mode, 'float16');
  assert.equal(parseRecipe('w4_b32').weight.blockSize, 32);
  refuses(() => parseRecipe('w3' as RecipePreset), /known presets are w8a8/);
  refuses(() => parseRecipe('toString' as RecipePreset), /known presets/);
});

void test('which recipes need samples, and which take them', () => {
  const scheme = 'i4_b32';
  const cases: readonly [RecipeInput, ReturnType<typeof useOfSamples>][] = [
    [{}, 'needed'],
    [{ mode: 'dynamic' }, 'unused'],
    [{ mode: 'weight_only', weight: { scheme } }, 'unused'],
    [{ mode: 'weight_only', weight: { scheme, overrides: { clipping: 'mse' } } }, 'unused'],
    [{ mode: 'weight_only', weight: { scheme, overrides: { clipping: 'output_error' } } }, 'needed'],
    [recipePresets.q4f16, 'taken'],
    [{ mode: 'float16' }, 'taken'],
    [{ mode: 'float16', float16: { weightsOnly: true } }, 'unused'],
  ];
  for (const [recipe, use] of cases) assert.equal(useOfSamples(parseRecipe(recipe)), use, JSON.stringify(recipe));
});

void test('named schemes are those of the core', () => {
  const rows = readFileSync(new URL('../../src/quant/encodings/schemes.inc', import.meta.url), 'utf8');
  assert.deepEqual(
    [...schemeNames],
    [...rows.matchAll(/NAMED_SCHEME\("(\w+)"/g)].map(([, name]) => name),
  );
});

void test('unknown keys are named, at any depth', () => {
  refuses(() => parseAny({ modes: 'static' }), /modes is not a known key; known are mode/);
  refuses(() => parseAny({ weight: { bits: 8 } }), /weight\.bits is not a known key/);
  refuses(() => parseAny({ float16: { constructor: 1 } }), /float16\.constructor is not a known key/);
});

void test('__proto__ in a recipe file is an unknown key and changes no prototype', () => {
  refuses(() => parseRecipeJson('{"__proto__": {"mode": "dynamic"}}'), /__proto__ is not a known key/);
  refuses(() => parseRecipeJson('{"weight": {"__proto__": {"polluted": true}}}'), /weight\.__proto__/);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

void test('values of the wrong type or outside of their range are named with what is needed', () => {
  refuses(() => parseAny({ mode: 'int8' }), /mode is "int8"; one of static, dynamic, weight_only, float16/);
  refuses(() => parseAny({ mode: 8 }), /mode is 8/);
  refuses(() => parseAny({ include: 'op:Conv' }), /include must be a list/);
  refuses(() => parseAny({ include: [''] }), /include holds an entry/);
  refuses(() => parseAny({ include: [7] }), /include holds an entry/);
  refuses(() => parseAny({ foldBatchNorm: 1 }), /foldBatchNorm must be true or false/);
  refuses(() => parseAny({ weight: null }), /weight must be an object/);
  refuses(() => parseAny({ weight: [] }), /weight must be an object/);
  refuses(() => parseAny([]), /it must be an object/);
  refuses(() => parseAny(null), /it must be an object/);
});

void test('huge, fractional and non-finite numbers are refused', () => {
  refuses(() => parseRecipeJson('{"seed": 1e400}'), /seed must be a number/);
  refuses(() => parseRecipeJson('{"seed": 9007199254740992}'), /seed is 9007199254740992/);
  refuses(() => parseRecipeJson('{"seed": -1}'), /seed is -1/);
  refuses(() => parseRecipeJson('{"calibration": {"bins": 1e9}}'), /calibration\.bins is 1000000000/);
  refuses(() => parseRecipeJson('{"calibration": {"bins": 128.5}}'), /an integer from 128 to 16384/);
  refuses(() => parseAny({ calibration: { percentile: Number.NaN } }), /calibration\.percentile must be a number/);
  assert.equal(parseAny({ seed: Number.MAX_SAFE_INTEGER }).seed, Number.MAX_SAFE_INTEGER);
});

void test('overrides of a named scheme: known keys, in one order, for weights with a scheme', () => {
  const parsed = parseRecipe({
    mode: 'weight_only',
    weight: { scheme: 'i4_b32', overrides: { clipping: 'mse', blockSize: 16 } },
  });
  assert.deepEqual(Object.entries(parsed.weight.overrides), [
    ['blockSize', 16],
    ['clipping', 'mse'],
  ]);
  assert.deepEqual(parseRecipeJson(recipeJson(parsed)), parsed);
  const weight = (overrides: unknown) => ({ mode: 'weight_only', weight: { scheme: 'nf4', overrides } });
  refuses(() => parseAny(weight({ block: 16 })), /weight\.overrides\.block is not a known key; known are bits/);
  refuses(() => parseAny(weight({ clipping: 'kl' })), /weight\.overrides\.clipping must be one of min_max/);
  refuses(() => parseAny(weight({ blockSize: 1.5 })), /weight\.overrides\.blockSize must be a whole number/);
  refuses(() => parseAny(weight([])), /weight\.overrides must be an object/);
  refuses(
    () => parseRecipeJson('{"weight": {"overrides": {"__proto__": 1}}}'),
    /weight\.overrides\.__proto__ is not a known key/,
  );
  assert.deepEqual(parseAny({ weight: { overrides: { bits: 4 } } }).weight.overrides, { bits: 4 });
  refuses(() => parseAny({ activation: { overrides: { bits: 4 } } }), /activation\.overrides is for weights/);
});

void test('static and dynamic mode take the schemes and overrides that integer layers can have, and say what else to do', () => {
  const statically = (weight: unknown) => () => parseAny({ weight });
  const dynamically = (weight: unknown) => () => parseAny({ mode: 'dynamic', weight });
  for (const dtype of ['i4', 'u4', 'i8', 'i16'] as const) {
    assert.equal(parseAny({ weight: { dtype, symmetric: true } }).weight.dtype, dtype);
  }
  assert.equal(parseAny({ weight: { scheme: 'i6', overrides: { clipping: 'mse' } } }).weight.scheme, 'i6');
  assert.equal(parseAny({ mode: 'dynamic', weight: { overrides: { rounding: 'floor' } } }).weight.overrides.rounding, 'floor');
  refuses(statically({ scheme: 'nf4' }), /weight\.scheme is nf4; mode static takes i8, .* or mode weight_only/);
  refuses(dynamically({ scheme: 'i4' }), /weight\.scheme is i4; mode dynamic takes i8, u8/);
  refuses(statically({ overrides: { scaleForm: 'f16' } }), /weight\.overrides\.scaleForm is for mode weight_only/);
  refuses(dynamically({ overrides: { bits: 8 } }), /weight\.overrides\.bits is for mode weight_only/);
  refuses(statically({ overrides: { rounding: 'mask' } }), /mask is for mode weight_only; choose nearest_even/);
  refuses(statically({ overrides: { granularity: 'per_token' } }), /per_token is for mode weight_only/);
  refuses(statically({ dtype: 'i2' }), /weight\.dtype has 2 bits.*choose 4/);
  refuses(dynamically({ dtype: 'i4' }), /weight\.dtype is i4.*take i8 or u8/);
  refuses(dynamically({ symmetric: false, narrowRange: false }), /weight\.symmetric must be true/);
  refuses(dynamically({ scheme: 'u8' }), /weight\.symmetric must be true/);
  refuses(dynamically({ overrides: { clipping: 'output_error' } }), /which mode dynamic does not take; choose mse/);
  refuses(() => parseAny({ format: 'qoperator', weight: { dtype: 'i4' } }), /weight\.dtype has 4 bits.*choose format qdq/);
  refuses(() => parseAny({ mode: 'float16', weight: { overrides: { clipping: 'mse' } } }), /mode float16 has no codes/);
});

void test('choices that do not go together are refused', () => {
  refuses(() => parseAny({ activation: { granularity: 'per_channel' } }), /activation\.granularity must be per_tensor/);
  refuses(() => parseAny({ activation: { granularity: 'per_token' } }), /must be per_tensor, or per_token in mode dynamic/);
  refuses(() => parseAny({ mode: 'weight_only', weight: { granularity: 'per_token' } }), /per_token, which is for activations/);
  assert.equal(parseAny({ mode: 'dynamic', activation: { granularity: 'per_token' } }).activation.granularity, 'per_token');
  refuses(() => parseAny({ weight: { granularity: 'per_block' } }), /per_block is for mode weight_only/);
  refuses(() => parseAny({ weight: { symmetric: false } }), /narrowRange needs a symmetric scheme/);
  refuses(() => parseAny({ activation: { dtype: 'u4' } }), /activation\.dtype must have 8 or 16 bits/);
  refuses(() => parseAny({ format: 'qoperator', activation: { dtype: 'i16' } }), /activation\.dtype is i16.*choose format qdq/);
  assert.equal(parseAny({ activation: { dtype: 'u16' } }).activation.dtype, 'u16');
});

void test('a file that nests deeply, is no JSON or is too long is refused with one sentence', () => {
  refuses(() => parseRecipeJson(`${'{"weight":'.repeat(50_000)}1${'}'.repeat(50_000)}`), /not a known key/);
  refuses(() => parseRecipeJson('['.repeat(100_000)), /not JSON|must be an object/);
  refuses(() => parseRecipeJson('{mode: static}'), /not JSON/);
  refuses(() => parseRecipeJson(''), /not JSON/);
  refuses(() => parseRecipeJson(' '.repeat(maxRecipeBytes + 1)), /longer than 1048576/);
});

void test('canonical JSON does not depend on the order of keys, and parses to the same recipe', () => {
  const one = parseRecipeJson(
    '{"seed": 3, "weight": {"narrowRange": false, "dtype": "u8", "symmetric": false}, "mode": "static"}',
  );
  const other = parseRecipeJson(
    '{"mode": "static", "weight": {"symmetric": false, "dtype": "u8", "narrowRange": false}, "seed": 3}',
  );
  assert.equal(recipeJson(one), recipeJson(other));
  assert.deepEqual(parseRecipeJson(recipeJson(one)), one);
  assert.deepEqual(Object.keys(JSON.parse(recipeJson(one)) as object), Object.keys(defaultRecipe));
});

void test('parsing copies: the default recipe cannot be changed through a result', () => {
  const recipe = parseRecipe({}) as unknown as { include: string[] };
  recipe.include.push('op:Conv');
  assert.deepEqual(parseRecipe({}).include, []);
});

void test('outputName: as transformers.js looks for it', () => {
  const named = (recipe: RecipePreset | RecipeInput, preset?: string) => outputName('model.onnx', parseRecipe(recipe), preset);
  assert.equal(named('w8a8'), 'model_quantized.onnx');
  assert.equal(named('fp16'), 'model_fp16.onnx');
  assert.equal(outputName('model.ort', parseRecipe('w8a8')), 'model_quantized.onnx');
  assert.equal(rewrittenName('model.ort', 'float'), 'model_float.onnx');
  assert.equal(rewrittenName('a.b.onnx', 'qoperator'), 'a.b_qoperator.onnx');
  assert.equal(named('q4'), 'model_q4.onnx');
  assert.equal(named('q4f16'), 'model_q4f16.onnx');
  assert.equal(named('bnb4'), 'model_bnb4.onnx');
  assert.equal(named('w4_b32'), 'model_q4.onnx');
  assert.equal(named('uint8', 'uint8'), 'model_uint8.onnx');
  assert.equal(named('dynamic', 'dynamic'), 'model_quantized.onnx');
});
