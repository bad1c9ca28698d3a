/** Element types that cross the border, by the names used everywhere. */
export type DType =
  | 'f32'
  | 'f64'
  | 'f16'
  | 'bf16'
  | 'f8e4m3fn'
  | 'f8e4m3fnuz'
  | 'f8e5m2'
  | 'f8e5m2fnuz'
  | 'f4e2m1'
  | 'e8m0'
  | 'i64'
  | 'u64'
  | 'i32'
  | 'u32'
  | 'i16'
  | 'u16'
  | 'i8'
  | 'u8'
  | 'i4'
  | 'u4'
  | 'i2'
  | 'u2'
  | 'bool'
  | 'string'
  | 'c64'
  | 'c128'
  | 'undefined';

export type TypedArray =
  | Float32Array
  | Float64Array
  | BigInt64Array
  | BigUint64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array;

/** A dense row-major array. Half and 8-bit floats are given as their bits; 4- and 2-bit elements packed in bytes. */
export interface Tensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: TypedArray;
}

/** One run's inputs by name. */
export type Feeds = Readonly<Record<string, Tensor>>;

/** Name and type of a graph input or output; -1 stands for an extent that is not fixed, `dimNames` names it where the model does. */
export interface ValueInfo {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly number[] | null;
  readonly dimNames: readonly string[];
}

export interface Progress {
  readonly stage: string;
  /** Never falls within a stage. */
  readonly done: number;
  readonly total: number;
  /** Estimated time left in this stage; absent before there is one. */
  readonly etaMs?: number;
}

/** The last argument of everything that computes. */
export interface RunOptions {
  /**
   * An abort rejects with `signal.reason` at once and leaves the model usable; the engine stops at the next of its steps (a tensor, a
   * sample). On pages that are not cross-origin isolated a worker learns of it where their policy lets `connect-src` have `blob:`;
   * otherwise it goes on to the end of the call, whose answer is dropped.
   */
  readonly signal?: AbortSignal;
  readonly onProgress?: (progress: Progress) => void;
}

/** Random access to bytes that need not be in memory. `read` is synchronous and fills `target` whole from `offset`. */
export interface ByteReader {
  readonly sizeBytes: number;
  read(offset: number, target: Uint8Array): void;
}

/** Takes an output file's bytes in order. The array is valid during the call only. */
export interface ByteWriter {
  write(bytes: Uint8Array): void;
}

/** What a model or sample can be read from. A path is understood in Node only, a ByteReader only without a worker. */
export type ByteInput = Uint8Array | ArrayBuffer | Blob | string | ByteReader;

export type ImagePreset = 'imagenet' | 'minus1_1' | '0_1' | '0_255';

/** From a decoded picture to the model's input: see `preprocess` in the docs. */
export interface ImagePreprocessing {
  /** Shorter side after resizing; 0 stretches straight to the crop size. */
  readonly resize: number;
  readonly cropWidth: number;
  readonly cropHeight: number;
  readonly resampling: 'bilinear' | 'bicubic';
  readonly color: 'rgb' | 'bgr' | 'grey';
  readonly layout: 'nchw' | 'nhwc';
  /** (pixel / 255 * scale - mean) / std, per channel. */
  readonly scale: number;
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** A picture file (JPEG, PNG; other types through the host) with how to turn it into the input named `input`. */
export interface ImageSample {
  readonly image: Uint8Array | Blob;
  readonly name?: string;
  readonly input: string;
  readonly preprocessing: ImagePreprocessing;
}

/** One calibration or evaluation sample: tensors by input name, or a picture; `label` is the class index where it is known. */
export type Sample = ({ readonly feeds: Feeds; readonly name?: string } | ImageSample) & { readonly label?: number };

export type Samples = Iterable<Sample> | AsyncIterable<Sample>;

/**
 * How quantized parts of a model are computed: `fast` on codes by integer kernels that requantize in float, as onnxruntime does;
 * `integer_only` on codes without float from the first quantization to the last dequantization; `simulated` each node in float,
 * exactly as ONNX defines it. Models without quantized parts run in float: `fast` may contract multiplications with additions
 * where the engine has an instruction for it, and quantizes activations to 8 bits for weights of few bits in blocks (MatMulNBits at
 * `accuracy_level` 4, DequantizeLinear before MatMul); `simulated` gives the same bits everywhere.
 */
export type Arithmetic = 'fast' | 'integer_only' | 'simulated';

/** Which integer kernels run; results have the same bits whichever it is. */
export type KernelFamily = 'reference' | 'simd128' | 'usdot' | 'sdot';

/** A session's options, all given. */
export interface SessionSpec {
  readonly threads: number;
  readonly profile: boolean;
  readonly arithmetic: Arithmetic;
  readonly kernels: KernelFamily | 'auto';
}

/** One step of a planned model. */
export interface ExplainRow {
  readonly node: string;
  readonly opType: string;
  /** Over all runs of a session opened with `profile: true`. */
  readonly timeMs: number;
  readonly runs: number;
  /** Of integer steps: the nodes of the model that it stands for. */
  readonly nodes: string;
  /** Of integer steps, once the session has run. */
  readonly kernel: string;
  /** Computes on codes by integer kernels. */
  readonly integer: boolean;
  /** `graph`: as the model has it. */
  readonly layout: 'channels_last' | 'graph';
  /** Why it is not an integer step. */
  readonly reason: string;
}
