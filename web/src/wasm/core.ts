/**
 * What the compiled module offers: the other side of bindings/embind.cpp. Nothing outside of web/src/wasm and web/src/worker
 * touches it. Every call answers `{ value }` or `{ error }`; no C++ exception crosses.
 */
import type { ErrorData } from '../errors.js';
import type { Recipe } from '../recipe.js';
import type { Distribution, CoreScheme } from '../try-scheme.js';
import type { Comparison, LintRow, MeasuredScheme, ModelInfo, NodeRow, TensorRow } from '../report/schema.js';
import type { ExplainRow, ImagePreprocessing, KernelFamily, SessionSpec, Tensor, TypedArray, ValueInfo } from '../types.js';
import type { ConvertAnswer, ModelForm } from '../worker/protocol.js';

export type Guarded<T> =
  { readonly value: T; readonly error?: undefined } | { readonly value?: undefined; readonly error: Omit<ErrorData, 'name'> };

/** A source that C++ reads from: `read` returns '' or what went wrong. */
export interface CoreSource {
  readonly name: string;
  readonly sizeBytes: number;
  /** Bytes that may be copied into the module at once; undefined where they should stay outside. */
  readonly bytes?: Uint8Array | undefined;
  read(offset: number, target: Uint8Array): string;
}

/** Takes output; the view is valid during the call only. Returns '' or what went wrong. */
export interface CoreSink {
  write(view: Uint8Array): string;
}

/** Called between steps; false cancels. */
export type CoreProgress = (stage: string, done: number, total: number) => boolean;

export interface CoreTensorMap {
  [name: string]: Tensor;
}

export interface Core {
  version(): string;
  openModel(source: CoreSource, openExternal: (name: string) => CoreSource | null): Guarded<number>;
  inspect(modelId: number): Guarded<ModelInfo>;
  /** Alive at once in a run: an estimate. */
  activationBytes(modelId: number): Guarded<number>;
  disposeModel(modelId: number): void;
  createSession(
    modelId: number,
    options: SessionSpec,
  ): Guarded<{ sessionId: number; inputs: ValueInfo[]; outputs: ValueInfo[]; kernels: KernelFamily; integer: boolean }>;
  runSession(
    sessionId: number,
    feeds: CoreTensorMap,
    observe: readonly string[],
    outputs: Readonly<Record<string, TypedArray>>,
  ): Guarded<{ outputs: CoreTensorMap; observed: CoreTensorMap }>;
  explainSession(sessionId: number): Guarded<ExplainRow[]>;
  disposeSession(sessionId: number): void;
  beginCalibration(modelId: number, recipe: Recipe, external: boolean): Guarded<{ calibrationId: number; values: string[] }>;
  feedCalibration(calibrationId: number, feeds: CoreTensorMap): Guarded<CoreTensorMap>;
  observeCalibration(calibrationId: number, values: CoreTensorMap): Guarded<null>;
  disposeCalibration(calibrationId: number): void;
  quantize(
    modelId: number,
    recipe: Recipe & { readonly roundingMasks: Readonly<Record<string, Tensor>> },
    recipeJson: string,
    calibrationId: number,
    measuresWeights: boolean,
    onProgress: CoreProgress,
  ): Guarded<{
    modelId: number;
    nodes: NodeRow[];
    tensors: TensorRow[];
    lint: LintRow[];
    messages: string[];
    inputXxh64: string;
    sizeBytes: number;
    needsExternalData: boolean;
  }>;
  convertModel(modelId: number, format: ModelForm, fileName: string): Guarded<Omit<ConvertAnswer, 'info'>>;
  writeModel(
    modelId: number,
    sink: CoreSink,
    externalSink: CoreSink | null,
    externalName: string,
    onProgress: CoreProgress,
  ): Guarded<null>;
  beginComparison(referenceId: number, quantizedId: number): Guarded<number>;
  feedComparison(
    comparisonId: number,
    feeds: CoreTensorMap,
    /** Null where both models read the same. */
    quantizedFeeds: CoreTensorMap | null,
    label: number,
  ): Guarded<{ reference: CoreTensorMap; quantized: CoreTensorMap }>;
  finishComparison(comparisonId: number): Guarded<Comparison>;
  disposeComparison(comparisonId: number): void;
  preprocessImage(rgb: Uint8Array, width: number, height: number, spec: ImagePreprocessing): Guarded<Tensor>;
  /** A list of NamedScheme as JSON. */
  listSchemes(): Guarded<string>;
  /** On a constant of the model by name; where modelId is 0, on `tensor` or, where that is null, on values drawn. */
  tryScheme(
    modelId: number,
    name: string,
    tensor: Tensor | null,
    distribution: Distribution | null,
    request: CoreScheme,
  ): Guarded<MeasuredScheme>;
  /** A copy with inner values as further outputs, by names. */
  modelWithOutputs(modelId: number, values: readonly string[]): Guarded<number>;
  readTensorProto(bytes: Uint8Array): Guarded<{ name: string; tensor: Tensor }>;
  writeTensorProto(name: string, tensor: Tensor): Guarded<Uint8Array>;
  liveHandles(): number;
  /** The module's memory as it is now; its length is all that may be looked at. */
  readonly HEAPU8: Uint8Array;
}

export type CoreFactory = (options: {
  readonly wasmBinary?: Uint8Array | ArrayBuffer;
  readonly instantiateWasm?: (
    imports: WebAssembly.Imports,
    done: (instance: WebAssembly.Instance, module: WebAssembly.Module) => void,
  ) => object;
  readonly print?: (text: string) => void;
  readonly printErr?: (text: string) => void;
  /** Workers that the threaded module starts before it runs. */
  readonly poolSize?: number;
}) => Promise<Core>;
