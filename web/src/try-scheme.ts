import { checkTensor } from './check-sample.js';
import { QuantError } from './errors.js';
import type { Model } from './load-model.js';
import type { AskedParts, MeasuredScheme, NamedScheme, SchemeReport } from './report/schema.js';
import { checkMasks, type RoundingMasks } from './rounding-masks.js';
import { checkOverrides, type SchemeOverrides } from './scheme-overrides.js';
import type { Toolkit } from './toolkit.js';
import type { RunOptions } from './types.js';

/** A scheme by name; every other key replaces what the name stands for. */
export interface SchemeInput extends SchemeOverrides {
  readonly scheme: string;
  /** Of channels, blocks or sub-vectors; left out, what the node that reads the tensor takes. */
  readonly axis?: number;
  /** Whose grid and formula are shown. */
  readonly scaleIndex?: number;
  /** For rounding `mask`: that of the tensor; values of one's own are called `values`. */
  readonly roundingMasks?: RoundingMasks;
}

/** What a scheme with a name leaves open, as src/quant/scheme.h has it: none of them sets these. */
const leftOpen: AskedParts = { rounding: 'nearest_even', clipping: 'min_max', percentile: 99.999, clipRatio: 1, seed: 0 };

/** As the core takes it: the mask of the one tensor. */
export type CoreScheme = Omit<SchemeInput, 'roundingMasks'> & { readonly roundingMask?: Uint8Array };

export const distributionKinds = ['normal', 'laplace', 'uniform', 'bimodal', 'heavy_tail', 'relu', 'drawn'] as const;

/** Values that the core draws, the same on every host; `drawn` needs `density`, the heights of equal bins of [-1, 1]. */
export interface Distribution {
  readonly kind: (typeof distributionKinds)[number];
  readonly shape: readonly number[];
  readonly seed?: number;
  readonly density?: readonly number[];
}

/** What a scheme is tried on: a constant of a model, by name, values that are drawn, or values of one's own. */
export type SchemeTarget =
  | { readonly model: Model; readonly tensor: string }
  | { readonly toolkit: Toolkit; readonly distribution: Distribution }
  | { readonly toolkit: Toolkit; readonly values: Float32Array; readonly shape: readonly number[] };

function check(input: SchemeInput): SchemeInput {
  const fail = (key: string, finding: string): never => {
    throw new QuantError('invalid_argument', `scheme: ${key} ${finding}`, key);
  };
  if (typeof input !== 'object' || input === null || typeof input.scheme !== 'string') fail('scheme', 'must be a name');
  const { scheme, axis, scaleIndex, roundingMasks = {}, ...overrides } = input;
  void scheme;
  for (const [key, value] of Object.entries({ axis, scaleIndex }))
    if (value !== undefined && !(Number.isInteger(value) && Math.abs(value) < 2 ** 31)) fail(key, 'must be a whole number');
  checkOverrides(overrides, fail);
  checkMasks(roundingMasks, overrides.rounding);
  return input;
}

function checkDistribution({ kind, shape, seed, density }: Distribution): void {
  const fail = (key: string, finding: string): never => {
    throw new QuantError('invalid_argument', `distribution: ${key} ${finding}`, key);
  };
  if (!distributionKinds.includes(kind)) fail('kind', `must be one of ${distributionKinds.join(', ')}`);
  if (!Array.isArray(shape) || !shape.every((extent) => Number.isSafeInteger(extent) && extent > 0))
    fail('shape', 'must be a list of whole numbers above 0');
  if (seed !== undefined && !(Number.isSafeInteger(seed) && seed >= 0)) fail('seed', 'must be a whole number');
  if (kind === 'drawn' && !(Array.isArray(density) && density.every((height) => typeof height === 'number')))
    fail('density', 'must be a list of numbers');
}

/** Which operators of a file take the codes. */
function targetsOf(scheme: Omit<NamedScheme, 'targets'>): string {
  const { encoding, bits, granularity, blockSize, scaleForm, opset } = scheme;
  const isBlock = granularity === 'per_block';
  const isTable = !/^(uniform|f8.*|f4e2m1)$/.test(encoding);
  const isHalf = bits === 16 && isTable;
  const targets = [`${isHalf ? 'Cast' : isTable ? 'packed codes and Gather' : 'DequantizeLinear'} from opset ${opset}`];
  if (encoding === 'uniform' && bits === 8 && opset < 21) targets.push('QLinear*, *Integer');
  if (encoding === 'uniform' && bits === 16) targets.push('com.microsoft');
  const isPowerOfTwo = blockSize >= 16 && Number.isInteger(Math.log2(blockSize));
  if (encoding === 'uniform' && isBlock && scaleForm === 'f32' && bits <= 8 && isPowerOfTwo) targets.push('MatMulNBits');
  if (/^(nf4|fp4)$/.test(encoding) && isBlock && scaleForm === 'f32') targets.push('MatMulBnb4');
  return targets.join(', ');
}

/**
 * Every scheme with a name: what `quantize` recipes, `tryScheme` and the command line take.
 *
 * @example
 * const names = (await listSchemes(toolkit)).map((scheme) => scheme.name);
 */
export async function listSchemes(toolkit: Toolkit, run: RunOptions = {}): Promise<readonly NamedScheme[]> {
  const schemes = await toolkit.call('listSchemes', {}, run);
  return schemes.map((scheme) => ({ ...scheme, targets: targetsOf(scheme) }));
}

/**
 * What a scheme makes of one tensor: its error, its size, the reals of its codes and how often each is used. The model stays as
 * it is.
 *
 * @throws QuantError `invalid_argument` for a tensor, scheme or option that does not exist or does not fit; `shape_mismatch` for
 * a rounding mask that is missing or has another length; `unsupported` for a tensor that holds no floats
 * @example
 * const { sqnr, bitsPerWeight } = await tryScheme({ model, tensor: 'conv1.weight' }, { scheme: 'nf4' });
 */
export async function tryScheme(target: SchemeTarget, scheme: SchemeInput, run: RunOptions = {}): Promise<SchemeReport> {
  check(scheme);
  const report = await reportOf(target, scheme, run);
  return {
    ...report,
    rounding: scheme.rounding ?? leftOpen.rounding,
    clipping: scheme.clipping ?? leftOpen.clipping,
    percentile: scheme.percentile ?? leftOpen.percentile,
    clipRatio: scheme.clipRatio ?? leftOpen.clipRatio,
    seed: scheme.seed ?? leftOpen.seed,
  };
}

async function reportOf(target: SchemeTarget, input: SchemeInput, run: RunOptions): Promise<MeasuredScheme> {
  const { roundingMasks = {}, ...asked } = input;
  const name = 'model' in target ? target.tensor : 'values';
  const mask = Object.hasOwn(roundingMasks, name) ? roundingMasks[name] : undefined;
  const scheme: CoreScheme = mask === undefined ? asked : { ...asked, roundingMask: mask };
  if ('model' in target) {
    target.model.checkLive();
    const { toolkit, id } = target.model;
    return await toolkit.call('tryScheme', { modelId: id, name: target.tensor, tensor: null, distribution: null, scheme }, run);
  }
  const none = { modelId: 0, name: '', tensor: null, distribution: null } as const;
  if ('distribution' in target) {
    checkDistribution(target.distribution);
    return await target.toolkit.call('tryScheme', { ...none, distribution: target.distribution, scheme }, run);
  }
  const tensor = { dtype: 'f32', shape: target.shape, data: target.values } as const;
  checkTensor(tensor, 'values', 'values');
  return await target.toolkit.call('tryScheme', { ...none, tensor, scheme }, run);
}
