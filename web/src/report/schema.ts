import type { Recipe } from '../recipe.js';
import type { SchemeOverrides } from '../scheme-overrides.js';
import type { DType, ValueInfo } from '../types.js';

/** Raised when a field changes its meaning or goes away; new optional fields leave it alone. */
export const reportSchemaVersion = 1;

/** SQNR in decibels; exact equality has no finite value, so JSON carries null with `isExact: true`. */
export interface Sqnr {
  readonly sqnrDb: number | null;
  readonly isExact: boolean;
}

/** A share with its count and its 95 % Wilson interval. */
export interface Share {
  readonly count: number;
  readonly total: number;
  readonly share: number;
  readonly low: number;
  readonly high: number;
}

/** One node of the float model, subgraphs included: what became of it, and why. */
export interface NodeRow {
  readonly node: string;
  readonly opType: string;
  /** "" for the main graph, else the path of subgraphs: `if1/then_branch`. */
  readonly graphPath: string;
  readonly isQuantized: boolean;
  /** "QDQ u8 x i8 per channel", "weights only", "float". */
  readonly mode: string;
  /** Why it stayed in float, or what is worth knowing. */
  readonly reason: string;
}

/** One quantized tensor. */
export interface TensorRow {
  readonly tensor: string;
  readonly role: 'activation' | 'weight' | 'bias';
  readonly dtype: DType;
  /** The scheme's name where the codes are no plain integers ('nf4'); else empty. */
  readonly scheme: string;
  readonly granularity: string;
  /** The clipping range; of all channels together for several scales. */
  readonly rmin: number;
  readonly rmax: number;
  readonly scale: number;
  readonly zeroPoint: number;
  readonly scaleCount: number;
  /** The codes reach from `qmin` to `qmax`. */
  readonly qmin: number;
  readonly qmax: number;
  /** Codes that are no plain integers: what they stand for where the group of a scale reaches farthest; else empty. */
  readonly grid: readonly number[];
  /** Share of values outside of the clipping range. */
  readonly clippedShare: number;
  readonly sqnr: Sqnr | null;
  readonly bytesBefore: number;
  readonly bytesAfter: number;
  readonly histogram: Histogram | null;
}

export interface Histogram {
  readonly min: number;
  readonly max: number;
  readonly counts: readonly number[];
}

export interface LintRow {
  readonly severity: 'info' | 'warning' | 'error';
  readonly node: string;
  readonly message: string;
}

/** One value of the graph, float against quantized over all samples. */
export interface ValueComparison {
  readonly value: string;
  readonly node: string;
  readonly opType: string;
  readonly sqnr: Sqnr;
  readonly cosine: number;
  readonly maxAbsError: number;
  readonly rmin: number;
  readonly rmax: number;
}

export interface OutputComparison extends ValueComparison {
  /** Per sample, then the median: one outlier does not hide the rest. */
  readonly medianSqnrDb: number | null;
  readonly top1Agreement: Share | null;
}

/** What `compare` measures. */
export interface Comparison {
  readonly samples: number;
  readonly outputs: readonly OutputComparison[];
  readonly values: readonly ValueComparison[];
  readonly accuracy: { readonly reference: Share; readonly quantized: Share; readonly lost: number } | null;
}

export interface ModelSummary {
  readonly fileName: string;
  readonly bytes: number;
  readonly irVersion: number;
  readonly opset: number;
  readonly nodes: number;
  readonly parameters: number;
}

/** The whole report: what `--json` prints and `--report` draws. */
export interface Report {
  readonly schemaVersion: typeof reportSchemaVersion;
  readonly tool: { readonly name: 'bitwright'; readonly version: string };
  readonly recipe: Recipe;
  readonly inputXxh64: string;
  readonly before: ModelSummary;
  readonly after: ModelSummary;
  readonly nodes: readonly NodeRow[];
  readonly tensors: readonly TensorRow[];
  readonly lint: readonly LintRow[];
  /** What was done beside quantizing: batch norm folded, opset raised ... */
  readonly messages: readonly string[];
  /** Things a user should know before trusting the figures: no mean and std given, few samples ... */
  readonly warnings: readonly string[];
  readonly calibration: { readonly samples: number; readonly source: string } | null;
  readonly comparison: Comparison | null;
  readonly preprocessing: string | null;
}

/** What `inspect` tells of a model. */
export interface ModelInfo extends ModelSummary {
  readonly producer: string;
  readonly inputs: readonly ValueInfo[];
  readonly outputs: readonly ValueInfo[];
  readonly operators: readonly {
    readonly opType: string;
    readonly domain: string;
    readonly count: number;
    readonly isRunnable: boolean;
  }[];
  readonly tensors: readonly {
    readonly name: string;
    readonly dtype: DType;
    readonly shape: readonly number[];
    readonly bytes: number;
    /** How codes are scaled ('i8 per_channel(axis=0)'); empty for other tensors. */
    readonly scheme: string;
  }[];
  readonly metadata: readonly (readonly [string, string])[];
  /** Empty where our engine can run it; else the first reason why it cannot. */
  readonly notRunnable: string;
  readonly externalBytes: number;
  readonly isQuantized: boolean;
}

/** A scheme that `--scheme` and recipes take by name. */
export interface NamedScheme {
  readonly name: string;
  readonly encoding: string;
  /** What a code stands for. */
  readonly formula: string;
  readonly bits: number;
  /** What `bits` may be for this encoding. */
  readonly minBits: number;
  readonly maxBits: number;
  readonly granularity: string;
  readonly blockSize: number;
  readonly scaleForm: string;
  /** False where the scheme is fitted to all values and has no clipping range. */
  readonly isClippable: boolean;
  readonly symmetric: boolean;
  readonly narrowRange: boolean;
  /** The lowest opset of a file that holds it. */
  readonly opset: number;
  /** The operators that hold it. */
  readonly targets: string;
}

/** How codes and ranges were asked for. */
export type AskedParts = Required<Pick<SchemeOverrides, 'rounding' | 'clipping' | 'percentile' | 'clipRatio' | 'seed'>>;

/** What a scheme makes of one tensor, as the core tells it. */
export type MeasuredScheme = Omit<SchemeReport, keyof AskedParts>;

/** What a scheme makes of one tensor. */
export interface SchemeReport extends AskedParts {
  readonly encoding: string;
  readonly formula: string;
  readonly bits: number;
  readonly symmetric: boolean;
  readonly shape: readonly number[];
  readonly granularity: string;
  readonly scaleForm: string;
  /** Values that are NaN (stored as 0) or infinite (stored as the end of the range). */
  readonly notFinite: number;
  /** Scales; of fitted encodings, codebooks. */
  readonly scaleCount: number;
  readonly storedBytes: number;
  /** Scales, zero points and codebooks included. */
  readonly bitsPerWeight: number;
  readonly sqnr: Sqnr;
  readonly cosine: number;
  readonly meanSquaredError: number;
  readonly maxAbsError: number;
  /** Of the values; null where none is finite. */
  readonly histogram: Histogram | null;
  /** Of value - real, symmetric around 0; null where there is no error. */
  readonly errorHistogram: Histogram | null;
  /** The root mean square error of the values in each bin of `histogram`. */
  readonly rmsErrors: readonly number[];
  /** How often each code is used in the whole tensor, from the least code on; empty for 16 bits. */
  readonly codeCounts: readonly number[];
  /** What each of these codes stands for under scale `scaleIndex`; empty for 16 bits and codebooks of vectors. */
  readonly grid: readonly number[];
  readonly scaleIndex: number;
  /** The numbers of the formula, of that scale. */
  readonly scale: number;
  readonly zeroPoint: number;
  readonly qmin: number;
  readonly qmax: number;
  /** As it is stored, for scale forms that have codes (0 for others). */
  readonly scaleCode: number;
  /** `ternary`: values of at most this magnitude become 0. */
  readonly threshold: number;
  /** `product`: the entries of the shown codebook one after the other, `subVector` elements each. */
  readonly codebook: readonly number[];
  readonly subVector: number;
  /** The finite values that share that scale. */
  readonly rmin: number;
  readonly rmax: number;
  /** What the scale was chosen for: that range, widened to hold 0, then clipped. */
  readonly clipMin: number;
  readonly clipMax: number;
}
