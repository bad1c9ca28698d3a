import type { Runner } from '../calibrate.js';
import { QuantError } from '../errors.js';
import type { Model } from '../load-model.js';
import type { DType, Feeds, Tensor, TypedArray } from '../types.js';

/** The part of onnxruntime-web and onnxruntime-node that is used here: pass the imported module itself. */
export interface OnnxRuntime {
  readonly InferenceSession: { create(model: Uint8Array, options?: object): Promise<OnnxRuntimeSession> };
  readonly Tensor: new (type: 'float32', data: Float32Array, dims: readonly number[]) => OnnxRuntimeTensor;
}

export interface OnnxRuntimeSession {
  run(feeds: Readonly<Record<string, OnnxRuntimeTensor>>): Promise<Readonly<Record<string, OnnxRuntimeTensor>>>;
  release(): Promise<void>;
}

export interface OnnxRuntimeTensor {
  readonly type: string;
  readonly dims: readonly number[];
  readonly data: unknown;
}

const typeNames = {
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
} as const satisfies Partial<Record<DType, string>>;

function typeOf(name: string): DType | undefined {
  return (Object.keys(typeNames) as (keyof typeof typeNames)[]).find((dtype) => typeNames[dtype] === name);
}

/**
 * Calibrates on onnxruntime instead of our engine: for models with an operator that is missing here.
 *
 * @param ort the module `onnxruntime-node` or `onnxruntime-web`, which you have installed
 * @param options for `InferenceSession.create`, as `{ executionProviders: ['webgpu'] }`
 * @returns for the option `runner` of `calibrate` and `quantize`; used for one calibration at a time
 * @example
 * import * as ort from 'onnxruntime-node';
 * const calibration = await calibrate(model, samples, { runner: onnxruntimeRunner(ort) });
 */
export function onnxruntimeRunner(ort: OnnxRuntime, options: object = {}): Runner {
  let session: OnnxRuntimeSession | undefined;
  return {
    prepare: async (model: Model, values: readonly string[]) => {
      const { bytes } = await model.toolkit.call('modelWithOutputs', { modelId: model.id, values });
      try {
        // Unoptimized: a fused node would hide the values that are asked for.
        session = await ort.InferenceSession.create(bytes, {
          graphOptimizationLevel: 'disabled',
          logSeverityLevel: 3,
          ...options,
        });
      } catch (error) {
        throw new QuantError(
          'unsupported',
          `onnxruntime cannot open the model: ${error instanceof Error ? error.message : String(error)}`,
        );
      }
    },
    run: async (feeds: Feeds) => {
      if (session === undefined) throw new QuantError('internal', 'the runner was not prepared');
      const given: Record<string, OnnxRuntimeTensor> = {};
      for (const [name, { dtype, data, shape }] of Object.entries(feeds)) {
        const type = (typeNames as Partial<Record<DType, string>>)[dtype];
        if (type === undefined)
          throw new QuantError('unsupported', `input '${name}': elements of ${dtype} cannot be given to onnxruntime`, name);
        given[name] = new ort.Tensor(type as 'float32', data as Float32Array, [...shape]);
      }
      const seen: Record<string, Tensor> = {};
      for (const [name, { type, dims, data }] of Object.entries(await session.run(given))) {
        const dtype = typeOf(type);
        if (dtype !== undefined) seen[name] = { dtype, shape: [...dims], data: data as TypedArray };
      }
      return seen;
    },
    dispose: async () => {
      await session?.release();
      session = undefined;
    },
  };
}
