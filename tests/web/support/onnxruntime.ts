/** Both onnxruntimes behind one function: the same file, the same feeds, tensors as ours. */
import { readFileSync } from 'node:fs';
import type { InferenceSession, Tensor as OrtTensor, TypedTensor } from 'onnxruntime-common';
import type { DType, Feeds, Tensor, TypedArray } from '../../../web/src/node.js';

export const ortTypes = {
  f32: 'float32',
  f64: 'float64',
  f16: 'float16',
  i64: 'int64',
  u64: 'uint64',
  i32: 'int32',
  u32: 'uint32',
  i16: 'int16',
  u16: 'uint16',
  i8: 'int8',
  u8: 'uint8',
  bool: 'bool',
} as const satisfies Partial<Record<DType, OrtTensor.Type>>;
type OrtModule = typeof import('onnxruntime-common');

export const runtimeNames = ['onnxruntime-node', 'onnxruntime-web'] as const;
export type RuntimeName = (typeof runtimeNames)[number];

async function load(name: RuntimeName): Promise<OrtModule> {
  if (name === 'onnxruntime-node') return (await import('onnxruntime-node')) as unknown as OrtModule;
  const ort = (await import('onnxruntime-web')) as unknown as OrtModule;
  ort.env.wasm.numThreads = 1;
  return ort;
}

/**
 * Whether onnxruntime-node adds u8 x s8 products exactly here: without VNNI it multiplies pairs into saturating 16 bits.
 */
export function whyNotExact(name: RuntimeName): string | undefined {
  if (name === 'onnxruntime-web') return undefined;
  if (process.arch !== 'x64') return undefined;
  let facts: string;
  try {
    facts = readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    return 'the CPU is not known';
  }
  return /avx512_vnni|avx_vnni/.test(facts) ? undefined : 'this CPU has no VNNI: onnxruntime-node saturates u8 x s8';
}

export interface OpenedRuntime {
  run(feeds: Feeds): Promise<Record<string, Tensor>>;
  close(): Promise<void>;
}

export interface RuntimeOptions {
  /** No rewriting of the graph: what stands in the file is what runs. */
  readonly isVerbatim?: boolean;
  /** Products by weights that DequantizeLinear makes are computed in float: else onnxruntime-node quantizes activations for them. */
  readonly isWeightOnly?: boolean;
  /** Where onnxruntime-node writes the graph as it runs it. */
  readonly optimizedPath?: string;
}

export async function openRuntime(name: RuntimeName, bytes: Uint8Array, options: RuntimeOptions = {}): Promise<OpenedRuntime> {
  const ort = await load(name);
  const settings: InferenceSession.SessionOptions = {
    graphOptimizationLevel: options.isVerbatim === true ? 'disabled' : 'all',
    logSeverityLevel: 3,
    ...(options.isWeightOnly === true && { extra: { session: { qdq_matmulnbits_accuracy_level: '1' } } }),
    ...(options.optimizedPath !== undefined && { optimizedModelFilePath: options.optimizedPath }),
    ...(name === 'onnxruntime-node' ? { intraOpNumThreads: 1, interOpNumThreads: 1 } : { executionProviders: ['wasm'] }),
  };
  const session = await ort.InferenceSession.create(bytes, settings);
  return {
    run: async (feeds) => {
      const given: Record<string, OrtTensor> = {};
      for (const [input, tensor] of Object.entries(feeds)) {
        const type = (ortTypes as Partial<Record<DType, OrtTensor.Type>>)[tensor.dtype];
        if (type === undefined) throw new Error(`${input}: ${tensor.dtype} has no type in onnxruntime`);
        given[input] = new ort.Tensor(type as 'float32', tensor.data as Float32Array, [...tensor.shape]);
      }
      const outputs: Record<string, Tensor> = {};
      for (const [output, found] of Object.entries(await session.run(given))) {
        const dtype = (Object.entries(ortTypes).find(([, type]) => type === found.type)?.[0] ?? 'undefined') as DType;
        outputs[output] = { dtype, shape: [...found.dims], data: (found as TypedTensor<'float32'>).data as TypedArray };
      }
      return outputs;
    },
    close: () => session.release(),
  };
}
