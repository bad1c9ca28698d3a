/** How a clipping range is found from the values alone. */
export const rangeMethods = ['min_max', 'percentile', 'entropy', 'mse', 'aciq_laplace', 'aciq_gaussian'] as const;
/** `output_error` weighs the error of each weight by the mean square of what samples multiply it with, and refines product codebooks against rows of it: recipes only, it needs samples. */
export const weightClippings = [...rangeMethods, 'output_error'] as const;
export type WeightClipping = (typeof weightClippings)[number];

const roundings = ['nearest_even', 'stochastic', 'floor', 'mask'] as const;

/** What a scheme with a name can be changed in: the same keys in recipes, in `tryScheme` and in the lab. */
export interface SchemeOverrides {
  readonly bits?: number;
  readonly symmetric?: boolean;
  readonly narrowRange?: boolean;
  readonly granularity?: 'per_tensor' | 'per_channel' | 'per_block' | 'per_token';
  readonly blockSize?: number;
  /** Neighbouring channels that share a scale. */
  readonly channelGroup?: number;
  /** How scales are stored: `u6` in two levels, `f8e4m3fn` as NVFP4 does, `e8m0` as MX does. */
  readonly scaleForm?: 'f32' | 'f16' | 'e8m0' | 'f8e4m3fn' | 'u6';
  /** `mask`: floor, plus one where `roundingMasks` say so. */
  readonly rounding?: (typeof roundings)[number];
  /** How the range that codes cover is chosen; fitted codebooks: `min_max`, or `output_error`. */
  readonly clipping?: WeightClipping;
  /** Per cent of |values| kept, for clipping `percentile`. */
  readonly percentile?: number;
  /** Both ends of the chosen clipping range are multiplied by this: above 0, at most 1. */
  readonly clipRatio?: number;
  /** Of stochastic rounding and of codebooks' first entries; in recipes `recipe.seed` where it is left out. */
  readonly seed?: number;
  /** Of a fitted codebook. */
  readonly entries?: number;
  /** Elements that share a code of a product codebook, and sub-vectors that share a codebook (0: all). */
  readonly subVector?: number;
  readonly columnGroup?: number;
}

type Rule = 'integer' | 'seed' | 'real' | 'boolean' | readonly string[];
const rules: Readonly<Record<keyof Required<SchemeOverrides>, Rule>> = {
  bits: 'integer',
  symmetric: 'boolean',
  narrowRange: 'boolean',
  granularity: ['per_tensor', 'per_channel', 'per_block', 'per_token'],
  blockSize: 'integer',
  channelGroup: 'integer',
  scaleForm: ['f32', 'f16', 'e8m0', 'f8e4m3fn', 'u6'],
  rounding: roundings,
  clipping: weightClippings,
  percentile: 'real',
  clipRatio: 'real',
  seed: 'seed',
  entries: 'integer',
  subVector: 'integer',
  columnGroup: 'integer',
};

/** What a number means is checked by the core; here only that it is one that C++ can hold. */
const isOne: Readonly<Record<string, (value: unknown) => boolean>> = {
  integer: (value) => Number.isInteger(value) && Math.abs(value as number) < 2 ** 31,
  seed: (value) => Number.isSafeInteger(value) && (value as number) >= 0,
  real: (value) => Number.isFinite(value),
  boolean: (value) => typeof value === 'boolean',
};
const wanted: Readonly<Record<string, string>> = {
  integer: 'a whole number',
  seed: 'a whole number',
  real: 'a finite number',
  boolean: 'true or false',
};

/**
 * "blockSize=128" and the like, as the value that its key takes; the caller checks the key and the value (`checkOverrides`).
 *
 * @param fail throws the caller's error, given what is wrong
 */
export function parseOverride(text: string, fail: (finding: string) => never): readonly [key: string, value: unknown] {
  const [, key, word] = /^([^=]+)=(.*)$/s.exec(text) ?? fail(`is '${text}'; KEY=VALUE is needed, as blockSize=128`);
  const [name = '', value = ''] = [key, word];
  const rule = Object.hasOwn(rules, name) ? rules[name as keyof SchemeOverrides] : undefined;
  if (rule === 'boolean') return [name, value === 'true' ? true : value === 'false' ? false : value];
  return [name, typeof rule === 'string' && value.trim() !== '' ? Number(value) : value];
}

/** The keys of `SchemeOverrides`. */
export const overrideKeys: readonly string[] = Object.keys(rules);

/** @param fail throws the caller's error, given the key and what is wrong with it */
export function checkOverrides(input: object, fail: (key: string, finding: string) => never): void {
  for (const [key, value] of Object.entries(input) as [string, unknown][]) {
    const rule = Object.hasOwn(rules, key) ? rules[key as keyof SchemeOverrides] : undefined;
    if (rule === undefined) fail(key, `is not a known key; known are ${overrideKeys.join(', ')}`);
    if (value === undefined) continue;
    if (typeof rule !== 'string') {
      if (!rule.includes(value as string)) fail(key, `must be one of ${rule.join(', ')}`);
    } else if (isOne[rule]?.(value) !== true) {
      fail(key, `must be ${wanted[rule] ?? rule}`);
    }
  }
}
