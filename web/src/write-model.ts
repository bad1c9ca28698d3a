import type { Model } from './load-model.js';
import type { LintRow } from './report/schema.js';
import { nameOfPath } from './toolkit.js';
import type { ByteWriter, RunOptions } from './types.js';
import type { SinkSpec, WriteAnswer } from './worker/protocol.js';

/** What is about to be written. */
export interface WritePlan {
  /** Of the model with everything inside. */
  readonly sizeBytes: number;
  /** The weights go to a file of their own: asked for, or because all together would pass 2 GiB. */
  readonly isExternal: boolean;
  /** What will be slow on the target; empty for conversions. */
  readonly lint: readonly LintRow[];
}

/** Where a model file goes; nothing of it: into memory. */
export interface WriteTo {
  /** Writes to this file (Node) instead of memory; `result.bytes` is then empty. */
  readonly outputPath?: string;
  /** Takes the file piece by piece instead (toolkits with runIn 'caller'); `result.bytes` is then empty. */
  readonly output?: ByteWriter;
  readonly externalOutput?: ByteWriter;
  /** Keeps the weights in one external file of this name; always done above 2 GiB. */
  readonly externalName?: string;
  readonly externalPath?: string | undefined;
  /** Where the external file goes if it turns out to be needed (Node); in memory where left out. */
  readonly overflowPath?: string;
  /** Called before anything is written: what it throws ends the call, and nothing is. */
  readonly beforeWrite?: (plan: WritePlan) => void | Promise<void>;
}

function sinkSpec(path: string | undefined, writer: ByteWriter | undefined, expectedBytes = 0): SinkSpec {
  if (writer !== undefined) return { kind: 'writer', writer };
  return path === undefined ? { kind: 'bytes', expectedBytes } : { kind: 'path', path };
}

/** @internal */
export async function writeModel(
  model: Model,
  size: { readonly sizeBytes: number; readonly needsExternalData: boolean },
  to: WriteTo,
  run: RunOptions,
  lint: readonly LintRow[] = [],
): Promise<WriteAnswer> {
  const isExternal =
    to.externalName !== undefined || to.externalPath !== undefined || to.externalOutput !== undefined || size.needsExternalData;
  await to.beforeWrite?.({ sizeBytes: size.sizeBytes, isExternal, lint });
  const externalPath = to.externalPath ?? to.overflowPath;
  const externalName = isExternal
    ? (to.externalName ?? (externalPath === undefined ? 'model.onnx_data' : nameOfPath(externalPath)))
    : '';
  return await model.toolkit.call(
    'writeModel',
    {
      modelId: model.id,
      sink: sinkSpec(to.outputPath, to.output, isExternal ? 0 : size.sizeBytes),
      externalName,
      externalSink: isExternal ? sinkSpec(externalPath, to.externalOutput) : null,
    },
    run,
  );
}
