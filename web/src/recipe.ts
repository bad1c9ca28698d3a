import { QuantError } from './errors.js';
import { checkOverrides, rangeMethods, type SchemeOverrides } from './scheme-overrides.js';

export type QuantMode = 'static' | 'dynamic' | 'weight_only' | 'float16';
export type Target = 'onnxruntime-web' | 'onnxruntime' | 'portable';
/** `moving_average`: of the ends of samples, so for activations only. */
export const calibrationMethods = [...rangeMethods, 'moving_average'] as const;
export type CalibrationMethod = (typeof calibrationMethods)[number];
/** `per_token`: one scale for each row of the last axis, for activations in mode dynamic. */
export type Grain = 'per_tensor' | 'per_channel' | 'per_block' | 'per_token';
/** Float operators between QuantizeLinear and DequantizeLinear, or operators on codes (QLinearConv, MatMulNBits ...) where there are some. */
export type QuantFormat = 'qdq' | 'qoperator';

/** Schemes with a name, as src/quant/encodings/schemes.inc has them (a test keeps them equal). */
export const schemeNames = [
  'i8',
  'u8',
  'i8_tensor',
  'u8_tensor',
  'u8_token',
  'i16',
  'u16',
  'i8_b32',
  'u8_b32',
  'i7',
  'i6',
  'i5_b32',
  'i4',
  'i4_b32',
  'u4_b32',
  'k4',
  'i3_b32',
  'u3_b32',
  'i2_b32',
  'u2_b32',
  'u1_b32',
  'pot4',
  'apot4',
  'apot6',
  'nf4',
  'fp4',
  'f16',
  'bf16',
  'f8e4m3fn',
  'f8e5m2',
  'mxint8',
  'mxfp8',
  'mxfp8_e5m2',
  'mxfp6',
  'mxfp6_e3m2',
  'mxfp4',
  'nvfp4',
  'kmeans256',
  'kmeans16',
  'kmeans4',
  'bcq4',
  'bcq3',
  'bcq2',
  'ternary',
  'binary',
  'pq4',
  'pq8',
] as const;
export type SchemeName = (typeof schemeNames)[number];

/** How one kind of tensor is quantized. */
export interface TensorScheme {
  readonly dtype: 'u8' | 'i8' | 'u16' | 'i16' | 'u4' | 'i4' | 'u2' | 'i2';
  readonly symmetric: boolean;
  readonly narrowRange: boolean;
  readonly granularity: Grain;
  readonly blockSize: number;
  /** Weights: a scheme with a name stands for everything above; empty: the codes are as said above. Static and dynamic mode take those of one scale per tensor or channel. */
  readonly scheme: '' | SchemeName;
  /** What replaces parts of it, and how ranges are chosen and values rounded: `{ blockSize: 128, clipping: 'mse' }`. */
  readonly overrides: SchemeOverrides;
}

export interface CalibrationOptions {
  readonly method: CalibrationMethod;
  /** Weight of the newest sample for `moving_average`. */
  readonly movingAverageRate: number;
  /** Per cent of |values| kept, for `percentile`. */
  readonly percentile: number;
  readonly bins: number;
}

export interface Float16Options {
  /** Only weights are stored in half precision; the graph computes in float. */
  readonly weightsOnly: boolean;
  /** Graph inputs and outputs stay in float, with casts behind them. */
  readonly keepIo: boolean;
  /** Operator types that stay in float. */
  readonly blockList: readonly string[];
  /** Mode `weight_only`: the rest of the graph becomes half precision too (q4f16). */
  readonly rest: boolean;
}

/** What to do with which node: data, the same in CLI, API and page. */
export interface Recipe {
  readonly mode: QuantMode;
  readonly target: Target;
  readonly format: QuantFormat;
  readonly activation: TensorScheme;
  readonly weight: TensorScheme;
  readonly calibration: CalibrationOptions;
  /** Node names, globs with `*` and `?`, or `op:Conv`; empty: every node that can be. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly float16: Float16Options;
  readonly foldBatchNorm: boolean;
  /** Of stochastic rounding and of codebooks' first entries, where `weight.overrides.seed` is left out. */
  readonly seed: number;
}

/** Defaults, with a reason for each. */
export const defaultRecipe: Recipe = {
  mode: 'static', // smallest and fastest on every int8 runtime; needs samples
  target: 'onnxruntime-web', // where most of our users run
  format: 'qdq', // every runtime reads it; onnxruntime makes the other form of it while loading
  activation: {
    dtype: 'u8', // onnxruntime-web does not fuse signed activations: 15 times slower
    symmetric: false, // activations after ReLU are one-sided: all 256 codes are used
    narrowRange: false,
    granularity: 'per_tensor', // what QLinearConv takes
    blockSize: 32,
    scheme: '',
    overrides: {},
  },
  weight: {
    dtype: 'i8',
    symmetric: true, // zero point 0: no cross terms in the integer sum
    narrowRange: true, // [-127, 127]: balanced, and what every integer kernel takes
    granularity: 'per_channel', // depthwise layers lose everything with one scale
    blockSize: 32,
    scheme: '',
    overrides: {},
  },
  calibration: {
    method: 'min_max', // the only one that never clips; others are chosen when measured to be better
    movingAverageRate: 0.01,
    percentile: 99.999,
    bins: 2048,
  },
  include: [],
  exclude: [],
  float16: { weightsOnly: false, keepIo: true, blockList: [], rest: false },
  foldBatchNorm: true, // exact up to rounding, and hidden ranges become visible
  seed: 0,
};

type Mutable<T> = { -readonly [K in keyof T]: T[K] };
/** Every key may be left out; nested objects too. */
export type RecipeInput = {
  readonly [K in keyof Recipe]?: Recipe[K] extends readonly unknown[]
    ? Recipe[K]
    : Recipe[K] extends object
      ? Partial<Recipe[K]>
      : Recipe[K];
};

/** Short names for common recipes. */
export const recipePresets = {
  w8a8: {},
  static: {},
  dynamic: { mode: 'dynamic' },
  w8: { mode: 'weight_only' },
  weight_only: { mode: 'weight_only' },
  w4_b32: {
    mode: 'weight_only',
    weight: { dtype: 'u4', symmetric: false, narrowRange: false, granularity: 'per_block', blockSize: 32 },
  },
  float16: { mode: 'float16' },
  fp16: { mode: 'float16' },
  // The names that transformers.js has for its files.
  int8: { mode: 'dynamic' },
  uint8: { mode: 'dynamic', weight: { dtype: 'u8' } },
  q4: { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'i4_b32' } },
  q4f16: { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'i4_b32' }, float16: { rest: true } },
  bnb4: { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'nf4' } },
} as const satisfies Record<string, RecipeInput>;
export type RecipePreset = keyof typeof recipePresets;

const choices: Readonly<Record<string, readonly string[]>> = {
  mode: ['static', 'dynamic', 'weight_only', 'float16'],
  target: ['onnxruntime-web', 'onnxruntime', 'portable'],
  format: ['qdq', 'qoperator'],
  scheme: ['', ...schemeNames],
  dtype: ['u8', 'i8', 'u16', 'i16', 'u4', 'i4', 'u2', 'i2'],
  granularity: ['per_tensor', 'per_channel', 'per_block', 'per_token'],
  method: calibrationMethods,
};

/** Inclusive ranges of the numbers. */
const ranges: Readonly<Record<string, { readonly min: number; readonly max: number; readonly isInteger: boolean }>> = {
  blockSize: { min: 2, max: 65536, isInteger: true },
  movingAverageRate: { min: 1e-6, max: 1, isInteger: false },
  percentile: { min: 50, max: 100, isInteger: false },
  bins: { min: 128, max: 16384, isInteger: true },
  seed: { min: 0, max: Number.MAX_SAFE_INTEGER, isInteger: true },
};

/** The most patterns of one list, and the longest one: far above any real recipe. */
export const maxPatterns = 10_000;
export const maxPatternLength = 1_000;

function fail(path: string, finding: string): never {
  throw new QuantError('bad_recipe', `recipe: ${path} ${finding}`, path);
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mergeValue(path: string, key: string, preset: unknown, given: unknown): unknown {
  if (Array.isArray(preset)) {
    if (!Array.isArray(given)) fail(path, 'must be a list of texts');
    if (given.length > maxPatterns) fail(path, `has more than ${maxPatterns} entries`);
    for (const item of given) {
      if (typeof item !== 'string' || item === '' || item.length > maxPatternLength) {
        fail(path, `holds an entry that is not a text of 1 to ${maxPatternLength} characters`);
      }
    }
    return [...(given as string[])];
  }
  if (key === 'overrides') {
    if (!isPlainObject(given)) fail(path, 'must be an object');
    checkOverrides(given, (inner, finding) => fail(`${path}.${inner}`, finding));
    // In one order, so that the same recipe has the same text.
    return Object.fromEntries(
      Object.entries(given)
        .filter(([, value]) => value !== undefined)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    );
  }
  if (isPlainObject(preset)) return mergeObject(path, preset, given);
  if (typeof preset === 'boolean') {
    if (typeof given !== 'boolean') fail(path, 'must be true or false');
    return given;
  }
  if (typeof preset === 'number') {
    const range = ranges[key];
    if (typeof given !== 'number' || !Number.isFinite(given)) fail(path, 'must be a number');
    if (range !== undefined && (given < range.min || given > range.max || (range.isInteger && !Number.isInteger(given)))) {
      fail(path, `is ${given}; ${range.isInteger ? 'an integer' : 'a number'} from ${range.min} to ${range.max} is needed`);
    }
    return given;
  }
  const allowed = choices[key];
  if (typeof given !== 'string' || (allowed !== undefined && !allowed.includes(given))) {
    fail(path, `is ${JSON.stringify(given) ?? 'undefined'}; one of ${(allowed ?? []).join(', ')} is needed`);
  }
  return given;
}

function mergeObject(path: string, preset: Record<string, unknown>, given: unknown): Record<string, unknown> {
  if (!isPlainObject(given)) fail(path === '' ? 'it' : path, 'must be an object');
  const merged = structuredClone(preset);
  for (const key of Object.keys(given)) {
    const inner = path === '' ? key : `${path}.${key}`;
    if (!Object.hasOwn(preset, key)) fail(inner, `is not a known key; known are ${Object.keys(preset).join(', ')}`);
    if (given[key] === undefined) continue;
    merged[key] = mergeValue(inner, key, preset[key], given[key]);
  }
  return merged;
}

/** Schemes with a name, and overrides, that integer layers take: one scale per tensor or channel, codes as integers of the file. */
const integerSchemes = {
  static: ['i8', 'u8', 'i8_tensor', 'u8_tensor', 'i16', 'u16', 'i7', 'i6', 'i4'],
  dynamic: ['i8', 'u8', 'i8_tensor', 'u8_tensor'],
} as const;
const integerOverrides = ['symmetric', 'narrowRange', 'granularity', 'rounding', 'clipping', 'percentile', 'clipRatio', 'seed'];

/** Weights of layers that static and dynamic mode make integers of. */
function checkIntegerWeights(recipe: Recipe, mode: 'static' | 'dynamic'): void {
  const { scheme, overrides, granularity, symmetric } = recipe.weight;
  const names: readonly string[] = integerSchemes[mode];
  if (scheme !== '' && !names.includes(scheme)) {
    fail('weight.scheme', `is ${scheme}; mode ${mode} takes ${names.join(', ')}; choose one of them, or mode weight_only`);
  }
  const known = mode === 'static' ? ['bits', ...integerOverrides] : integerOverrides;
  for (const key of Object.keys(overrides)) {
    if (!known.includes(key)) {
      fail(`weight.overrides.${key}`, `is for mode weight_only; mode ${mode} takes ${known.join(', ')}`);
    }
  }
  if (overrides.rounding === 'mask') {
    fail('weight.overrides.rounding', 'mask is for mode weight_only; choose nearest_even, floor or stochastic');
  }
  const grain = overrides.granularity ?? (scheme === '' ? granularity : 'per_channel');
  if (grain !== 'per_tensor' && grain !== 'per_channel') {
    fail('weight.granularity', `is ${grain}, and ${grain} is for mode weight_only; choose per_tensor or per_channel`);
  }
  const dtype = scheme === '' ? recipe.weight.dtype : scheme;
  const bits = overrides.bits ?? Number(/\d+/.exec(dtype)?.[0]);
  if (bits < 3) fail('weight.dtype', `has ${bits} bits, which are for mode weight_only; choose 4 or more`);
  if (mode === 'static') {
    if (recipe.format === 'qoperator' && (bits <= 4 || bits === 16)) {
      fail('weight.dtype', `has ${bits} bits, and format qoperator has operators on 8 bits only; choose format qdq`);
    }
    return;
  }
  if (bits !== 8)
    fail('weight.dtype', `is ${dtype}; integer products of mode dynamic take i8 or u8; choose one, or mode weight_only`);
  if (!(overrides.symmetric ?? (scheme === '' ? symmetric : scheme.startsWith('i')))) {
    fail('weight.symmetric', 'must be true in mode dynamic: its products have no zero points of weights; or choose mode static');
  }
  if (overrides.clipping === 'output_error') {
    fail('weight.overrides.clipping', 'output_error weighs errors by samples, which mode dynamic does not take; choose mse');
  }
}

function checkTogether(recipe: Recipe): Recipe {
  const { activation, mode, weight } = recipe;
  if (activation.granularity !== 'per_tensor' && (activation.granularity !== 'per_token' || mode !== 'dynamic')) {
    fail('activation.granularity', 'must be per_tensor, or per_token in mode dynamic: runtimes have no other');
  }
  if (weight.granularity === 'per_token') fail('weight.granularity', 'is per_token, which is for activations; choose another');
  if (!['u8', 'i8', 'u16', 'i16'].includes(activation.dtype)) fail('activation.dtype', 'must have 8 or 16 bits');
  if (mode === 'static' && recipe.format === 'qoperator' && activation.dtype.endsWith('16')) {
    fail('activation.dtype', `is ${activation.dtype}, and format qoperator has operators on 8 bits only; choose format qdq`);
  }
  if (activation.scheme !== '') fail('activation.scheme', 'is for weights; choose activation.dtype');
  if (Object.keys(activation.overrides).length > 0) fail('activation.overrides', 'is for weights');
  if (mode === 'static' || mode === 'dynamic') checkIntegerWeights(recipe, mode);
  if (mode === 'float16' && weight.scheme !== '') fail('weight.scheme', 'is for the other modes: mode float16 has no codes');
  if (mode === 'float16' && Object.keys(weight.overrides).length > 0) {
    fail('weight.overrides', 'is for the other modes: mode float16 has no codes');
  }
  if (recipe.float16.rest && mode !== 'weight_only') fail('float16.rest', 'is for mode weight_only');
  const chosen = { ...weight, ...weight.overrides };
  if (weight.scheme === '' && chosen.narrowRange && !chosen.symmetric) fail('weight.narrowRange', 'needs a symmetric scheme');
  return recipe;
}

/**
 * Checks a recipe and fills in what was left out.
 *
 * @param input a preset's name, or an object with any of the recipe's keys
 * @throws QuantError `bad_recipe` naming the key, what was found and what is needed
 */
export function parseRecipe(input: RecipePreset | RecipeInput = {}): Recipe {
  if (typeof input === 'string') {
    if (!Object.hasOwn(recipePresets, input)) {
      fail('it', `is '${String(input)}'; known presets are ${Object.keys(recipePresets).join(', ')}`);
    }
    return parseRecipe(recipePresets[input]);
  }
  return checkTogether(
    mergeObject('', defaultRecipe as Mutable<Recipe> as unknown as Record<string, unknown>, input) as unknown as Recipe,
  );
}

/** As the core takes it: whatever draws numbers has its seed. */
export function seeded(recipe: Recipe): Recipe {
  const { weight, seed } = recipe;
  return { ...recipe, weight: { ...weight, overrides: { seed, ...weight.overrides } } };
}

/**
 * Whether a recipe needs calibration samples, takes them where there are some (half precision: what passes 65504 stays in float),
 * or has no use for them but to measure the result.
 */
export function useOfSamples({ mode, weight, float16 }: Recipe): 'needed' | 'taken' | 'unused' {
  if (mode === 'static' || (mode === 'weight_only' && weight.overrides.clipping === 'output_error')) return 'needed';
  const isHalf = mode === 'float16' ? !float16.weightsOnly : mode === 'weight_only' && float16.rest;
  return isHalf ? 'taken' : 'unused';
}

/** The most bytes a recipe file may have; real ones have a few hundred. */
export const maxRecipeBytes = 1 << 20;

/** From the text of a recipe file. */
export function parseRecipeJson(text: string): Recipe {
  if (text.length > maxRecipeBytes) fail('the file', `is longer than ${maxRecipeBytes} bytes`);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    fail('the file', `is not JSON: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (typeof value === 'string') return parseRecipe(value as RecipePreset);
  return parseRecipe(value as RecipeInput);
}

/** Canonical JSON: keys in the order of `defaultRecipe`, everything filled in. The same recipe gives the same text. */
export function recipeJson(recipe: Recipe): string {
  return JSON.stringify(parseRecipe(recipe));
}
