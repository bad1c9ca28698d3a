import type { ModelInfo } from './report/schema.js';
import { inputName, Owned, sourceSpec, type Toolkit } from './toolkit.js';
import type { ByteInput, RunOptions } from './types.js';
import type { SourceSpec } from './worker/protocol.js';

export interface LoadOptions {
  /** Files of external data by the name that stands in the model. In Node, files in the model's own folder are found by themselves. */
  readonly external?: Readonly<Record<string, ByteInput>>;
  /** For messages and reports, where the input has no name of its own. */
  readonly name?: string;
}

/** A model held by the core. */
export class Model extends Owned {
  /** @internal */
  constructor(
    /** @internal */
    readonly toolkit: Toolkit,
    /** @internal */
    readonly id: number,
    readonly info: ModelInfo,
    /** Of the file as it was read, in lower-case hexadecimal. */
    readonly sha256: string,
  ) {
    super(`the model ${info.fileName}`, () => toolkit.call('disposeModel', { modelId: id }));
  }
}

/**
 * Reads a model's structure; weights are read when they are needed.
 *
 * @param input bytes, a Blob or File, in Node also a path
 * @returns owns memory of the core: dispose it
 * @throws QuantError `bad_model`, `bad_graph`, `bad_external_data`, `limit_exceeded`, `io_failed`
 * @example
 * const model = await loadModel(toolkit, 'model.onnx');
 */
export async function loadModel(toolkit: Toolkit, input: ByteInput, options: LoadOptions = {}, run: RunOptions = {}): Promise<Model> {
  const name = options.name ?? inputName(input, 'model.onnx');
  const external: Record<string, SourceSpec> = {};
  for (const [key, file] of Object.entries(options.external ?? {})) external[key] = await sourceSpec(file, key, toolkit.backend);
  const source = await sourceSpec(input, name, toolkit.backend);
  const { modelId, info, sha256 } = await toolkit.call('openModel', { source, external }, run);
  return new Model(toolkit, modelId, info, sha256);
}
