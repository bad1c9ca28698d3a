import type { ErrorData } from '../errors.js';
import type { QuantFormat, Recipe } from '../recipe.js';
import type { RoundingMasks } from '../rounding-masks.js';
import type { CancelToken } from './cancel.js';
import type { Distribution, CoreScheme } from '../try-scheme.js';
import type { Comparison, LintRow, MeasuredScheme, ModelInfo, NamedScheme, NodeRow, TensorRow } from '../report/schema.js';
import type {
  ExplainRow,
  Feeds,
  ImagePreprocessing,
  KernelFamily,
  Progress,
  SessionSpec,
  Tensor,
  TypedArray,
  ValueInfo,
} from '../types.js';

/** Where a host reads bytes from. `path` works in Node only, `reader` only where host and caller share a thread. */
export type SourceSpec =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; readonly name: string }
  | { readonly kind: 'blob'; readonly blob: Blob; readonly name: string }
  | { readonly kind: 'path'; readonly path: string; readonly name: string }
  | {
      readonly kind: 'reader';
      readonly reader: { readonly sizeBytes: number; read(offset: number, target: Uint8Array): void };
      readonly name: string;
    };

/** Where a host writes an output file. `path` works in Node only, `writer` only where host and caller share a thread. */
export type SinkSpec =
  | { readonly kind: 'bytes'; readonly expectedBytes: number }
  | { readonly kind: 'writer'; readonly writer: { write(bytes: Uint8Array): void } }
  | { readonly kind: 'path'; readonly path: string };

/** One sample as it crosses: tensors, or a picture's bytes that the host decodes. */
export type SampleSpec =
  | { readonly kind: 'feeds'; readonly feeds: Readonly<Record<string, Tensor>> }
  | {
      readonly kind: 'image';
      readonly bytes: Uint8Array;
      readonly name: string;
      readonly input: string;
      readonly preprocessing: ImagePreprocessing;
    }
  | {
      readonly kind: 'pixels';
      readonly rgb: Uint8Array;
      readonly width: number;
      readonly height: number;
      readonly name: string;
      readonly input: string;
      readonly preprocessing: ImagePreprocessing;
    };

export interface WasmInfo {
  readonly variant: 'simd' | 'relaxed';
  readonly threads: number;
  /** Why not more threads, or why not relaxed SIMD. */
  readonly reason: string;
  readonly version: string;
}

export interface QuantizeAnswer {
  readonly modelId: number;
  readonly info: ModelInfo;
  readonly nodes: readonly NodeRow[];
  readonly tensors: readonly TensorRow[];
  readonly lint: readonly LintRow[];
  readonly messages: readonly string[];
  /** Of the file that the model was read from; empty where it was made here. */
  readonly inputXxh64: string;
  /** Of the model file with everything inside. */
  readonly sizeBytes: number;
  readonly needsExternalData: boolean;
}

/** What a quantized model can become: float, or one of the forms of recipes. */
export type ModelForm = 'float' | QuantFormat;

export interface ConvertAnswer {
  readonly modelId: number;
  readonly info: ModelInfo;
  /** 0: the model had that form already. */
  readonly changes: number;
  readonly messages: readonly string[];
  readonly sizeBytes: number;
  readonly needsExternalData: boolean;
}

export interface WriteAnswer {
  /** Empty where the sink was a path. */
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  readonly external: { readonly name: string; readonly bytes: Uint8Array; readonly sizeBytes: number } | null;
}

/** Every request with the type of its answer. All payloads are named objects. */
export interface Calls {
  info: { request: object; answer: WasmInfo };
  openModel: {
    request: { source: SourceSpec; external: Readonly<Record<string, SourceSpec>> };
    /** `externalNames`: the files of external data that were opened, by the names that stand in the model. */
    answer: { modelId: number; info: ModelInfo; externalNames: readonly string[] };
  };
  inspect: { request: { modelId: number }; answer: ModelInfo };
  /** What a run of the model keeps alive, what the module's memory has, and what it may have. */
  memory: {
    request: { modelId: number };
    answer: { activationBytes: number; heldBytes: number; allowedBytes: number };
  };
  disposeModel: { request: { modelId: number }; answer: null };
  createSession: {
    request: { modelId: number; options: SessionSpec };
    answer: {
      sessionId: number;
      inputs: readonly ValueInfo[];
      outputs: readonly ValueInfo[];
      kernels: KernelFamily;
      integer: boolean;
    };
  };
  runSession: {
    request: {
      sessionId: number;
      sample: SampleSpec;
      observe: readonly string[];
      /** Written in place on the caller's own thread; a worker gets none. */
      outputs: Readonly<Record<string, TypedArray>>;
    };
    answer: { outputs: Readonly<Record<string, Tensor>>; observed: Readonly<Record<string, Tensor>> };
  };
  explainSession: { request: { sessionId: number }; answer: readonly ExplainRow[] };
  disposeSession: { request: { sessionId: number }; answer: null };
  beginCalibration: {
    request: { modelId: number; recipe: Recipe; external: boolean };
    answer: { calibrationId: number; values: readonly string[] };
  };
  feedCalibration: {
    request: { calibrationId: number; sample: SampleSpec };
    answer: { outputs: Readonly<Record<string, Tensor>> };
  };
  /** Values computed by another runner, by name. */
  observeCalibration: { request: { calibrationId: number; values: Readonly<Record<string, Tensor>> }; answer: null };
  disposeCalibration: { request: { calibrationId: number }; answer: null };
  quantize: {
    request: {
      modelId: number;
      recipe: Recipe;
      roundingMasks: RoundingMasks;
      recipeJson: string;
      calibrationId: number | null;
      measuresWeights: boolean;
    };
    answer: QuantizeAnswer;
  };
  convertModel: { request: { modelId: number; format: ModelForm; fileName: string }; answer: ConvertAnswer };
  writeModel: {
    request: { modelId: number; sink: SinkSpec; externalName: string; externalSink: SinkSpec | null };
    answer: WriteAnswer;
  };
  beginComparison: { request: { referenceId: number; quantizedId: number }; answer: { comparisonId: number } };
  feedComparison: {
    /** `quantizedState` replaces feeds of the quantized model. */
    request: { comparisonId: number; sample: SampleSpec; quantizedState: Feeds; label: number };
    answer: { reference: Readonly<Record<string, Tensor>>; quantized: Readonly<Record<string, Tensor>> };
  };
  finishComparison: { request: { comparisonId: number }; answer: Comparison };
  disposeComparison: { request: { comparisonId: number }; answer: null };
  preprocess: { request: { sample: SampleSpec }; answer: Tensor };
  listSchemes: { request: object; answer: readonly Omit<NamedScheme, 'targets'>[] };
  /** On a constant of the model by name; where modelId is 0, on `tensor` or, where that is null, on values drawn. */
  tryScheme: {
    request: {
      modelId: number;
      name: string;
      tensor: Tensor | null;
      distribution: Distribution | null;
      scheme: CoreScheme;
    };
    answer: MeasuredScheme;
  };
  /** The file of the model with inner values as further outputs, for a runner of the caller's. */
  modelWithOutputs: { request: { modelId: number; values: readonly string[] }; answer: { bytes: Uint8Array } };
  readTensorProto: { request: { bytes: Uint8Array }; answer: { name: string; tensor: Tensor } };
  writeTensorProto: { request: { name: string; tensor: Tensor }; answer: { bytes: Uint8Array } };
  liveHandles: { request: object; answer: { handles: number; heldBytes: number } };
}

export type Verb = keyof Calls;
export type RequestOf<V extends Verb> = Calls[V]['request'];
export type AnswerOf<V extends Verb> = Calls[V]['answer'];

/** Buffers of a request that the worker gives back with its answer, for the next request. */
export type LentBuffers = readonly ArrayBuffer[];

export type ToHost =
  | {
      [V in Verb]: {
        readonly kind: 'call';
        readonly id: number;
        readonly verb: V;
        readonly request: RequestOf<V>;
        readonly lent: LentBuffers;
        readonly cancel: CancelToken | null;
      };
    }[Verb]
  | { readonly kind: 'open'; readonly id: number; readonly options: OpenOptions };

export type FromHost =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: unknown; readonly lent: LentBuffers }
  | { readonly kind: 'error'; readonly id: number; readonly error: ErrorData; readonly lent: LentBuffers }
  | { readonly kind: 'progress'; readonly id: number; readonly progress: Progress };

/** What the host needs to load its module. */
export interface OpenOptions {
  /** Folder URL (or file URL in Node) of the wasm files; empty: beside the package's own files. */
  readonly wasmUrl: string;
  readonly threads: number;
  readonly variant: 'auto' | 'simd' | 'relaxed';
  /** The engine's own thread is a page's, which must not wait for other threads. */
  readonly mayNotWait?: boolean;
  /** The module, where the page compiled it already. */
  readonly compiled?: CompiledModule;
}

export interface CompiledModule {
  readonly name: string;
  readonly module: WebAssembly.Module;
}

export type OnHostProgress = (progress: Progress) => void;

/** How a call of the host is heard and stopped on its way. */
export interface CallWatch {
  onProgress(progress: Progress): void;
  /** Asked between steps: nobody waits for the answer any more. */
  isCancelled(): boolean;
}

/** One side of the border: answers calls in the order they came. */
export interface Backend {
  call<V extends Verb>(
    verb: V,
    request: RequestOf<V>,
    options?: {
      readonly onProgress?: OnHostProgress | undefined;
      readonly transfer?: readonly ArrayBuffer[];
      readonly signal?: AbortSignal | undefined;
    },
  ): Promise<AnswerOf<V>>;
  close(): Promise<void>;
  /** True where calls run on the caller's own thread: readers may then be plain objects. */
  readonly isDirect: boolean;
}
