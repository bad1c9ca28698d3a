import type { ModelInfo } from './report/schema.js';
import { inputName, Owned, sourceSpec, type Toolkit } from './toolkit.js';
import type { ByteInput, RunOptions } from './types.js';
import type { SourceSpec } from './worker/protocol.js';

export interface LoadOptions {
  /** Files of external data by the name that stands in the model. In Node, files in the model's own folder are found by themselves. */
  readonly external?: Readonly<Record<string, ByteInput>>;
  /** For messages and reports, where the input has no name of its own. */
  readonly name?: string;
  /** Hands the input's memory over instead of copying it, where calls run in a worker: the array given is empty afterwards. */
  readonly transfer?: boolean;
}

function buffersOf(input: ByteInput): ArrayBuffer[] {
  if (input instanceof ArrayBuffer) return [input];
  return input instanceof Uint8Array && input.buffer instanceof ArrayBuffer ? [input.buffer] : [];
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
    /** @internal The files of external data that were opened, by the names that stand in the model. */
    readonly externalNames: readonly string[] = [],
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
export async function loadModel(
  toolkit: Toolkit,
  input: ByteInput,
  options: LoadOptions = {},
  run: RunOptions = {},
): Promise<Model> {
  const name = options.name ?? inputName(input, 'model.onnx');
  const external: Record<string, SourceSpec> = {};
  for (const [key, file] of Object.entries(options.external ?? {})) external[key] = await sourceSpec(file, key, toolkit.backend);
  const given = options.transfer === true ? buffersOf(input) : [];
  const source = await sourceSpec(input, name, toolkit.backend);
  const { modelId, info, externalNames } = await toolkit.call('openModel', { source, external }, run, given);
  return new Model(toolkit, modelId, info, externalNames);
}
