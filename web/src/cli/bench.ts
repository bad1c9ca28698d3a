import { readFileSync } from 'node:fs';

import { QuantError } from '../errors.js';
import type { Model } from '../load-model.js';
import { benchText, explainText } from '../report/terminal.js';
import type { OnnxRuntimeTensor } from '../runners/onnxruntime.js';
import { createSession, type Session } from '../session.js';
import type { Arithmetic, DType, Feeds, Tensor, TypedArray } from '../types.js';
import { type Context, onlyPositional, withContext } from './context.js';
import { exitCodes, UsageError } from './exit-codes.js';
import { commonOptions, type CommandSpec, flag, integer, oneOf, text, type Values } from './options.js';
import { importOnnxRuntime } from './peer.js';

export const arithmetics: readonly Arithmetic[] = ['fast', 'integer_only', 'simulated'];
export const arithmeticOption = {
  type: 'string',
  value: 'NAME',
  help: 'fast (default), integer_only or simulated: how quantized parts are computed',
} as const;

export const explainSpec: CommandSpec = {
  name: 'explain',
  summary: 'show how our engine computes a model: kernel, layout, integer or float and why, and time of every step',
  usage: 'explain MODEL [options]',
  options: { arithmetic: arithmeticOption, ...commonOptions },
  examples: ['bitwright explain model_quantized.onnx', 'bitwright explain model_quantized.onnx --arithmetic integer_only --json'],
};

export const benchSpec: CommandSpec = {
  name: 'bench',
  summary: 'time a model on our engine, and on onnxruntime-web beside it',
  usage: 'bench MODEL [options]',
  options: {
    runs: { type: 'string', value: 'N', help: 'timed runs of each, turn by turn (default 20)' },
    peer: { type: 'string', value: 'NAME', help: 'onnxruntime-web or onnxruntime-node, where it is installed' },
    arithmetic: arithmeticOption,
    ...commonOptions,
  },
  examples: ['bitwright bench model_quantized.onnx', 'bitwright bench model_quantized.onnx --peer onnxruntime-web --runs 50'],
};

/** Seeded values for every input; extents that are not fixed are 1. */
export function madeFeeds(model: Model): Feeds {
  let seed = 1;
  const draw = (): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 31 - 1;
  };
  const floats: Partial<Record<DType, (n: number) => TypedArray>> = {
    f32: (n) => Float32Array.from({ length: n }, draw),
    f64: (n) => Float64Array.from({ length: n }, draw),
    i64: (n) => new BigInt64Array(n).fill(1n),
    i32: (n) => new Int32Array(n).fill(1),
    u8: (n) => Uint8Array.from({ length: n }, () => (draw() + 1) * 127),
    i8: (n) => Int8Array.from({ length: n }, () => draw() * 127),
    bool: (n) => new Uint8Array(n),
  };
  const feeds: Record<string, Tensor> = {};
  for (const input of model.info.inputs) {
    const make = floats[input.dtype];
    if (make === undefined || input.shape === null)
      throw new QuantError(
        'unsupported',
        `input '${input.name}': values of ${input.dtype} are not made here; use run`,
        input.name,
      );
    const shape = input.shape.map((extent) => Math.max(extent, 1));
    const n = shape.reduce((product, extent) => product * extent, 1);
    feeds[input.name] = { dtype: input.dtype, shape, data: make(n) };
  }
  return feeds;
}

async function opened(context: Context, path: string, profile: boolean): Promise<{ model: Model; session: Session }> {
  const model = await context.open(path);
  const arithmetic = oneOf(context.values, 'arithmetic', arithmetics) ?? 'fast';
  return { model, session: await createSession(model, { profile, arithmetic }, context.run) };
}

export async function explainCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const path = onlyPositional(positionals, 'MODEL', 'explain');
  return await withContext(values, async (context) => {
    const { model, session } = await opened(context, path, true);
    try {
      const feeds = madeFeeds(model);
      for (let i = 0; i < 5; ++i) await session.run(feeds, context.run);
      const rows = await session.explain();
      context.print(flag(values, 'json') ? JSON.stringify({ info: session.info, rows }) : explainText(session.info, rows));
    } finally {
      session.dispose();
    }
    return exitCodes.done;
  });
}

interface Peer {
  readonly name: string;
  run(): Promise<void>;
}

const peerTypes: Partial<Record<DType, string>> = {
  f32: 'float32',
  f64: 'float64',
  i64: 'int64',
  i32: 'int32',
  u8: 'uint8',
  i8: 'int8',
  bool: 'bool',
};

async function openPeer(name: string, path: string, feeds: Feeds, threads: number): Promise<Peer> {
  const ort = await importOnnxRuntime(name);
  if (name === 'onnxruntime-web' && ort.env?.wasm !== undefined) ort.env.wasm.numThreads = threads;
  const session = await ort.InferenceSession.create(readFileSync(path), {
    graphOptimizationLevel: 'all',
    intraOpNumThreads: threads,
    logSeverityLevel: 3,
  });
  const given: Record<string, OnnxRuntimeTensor> = {};
  for (const [input, { dtype, data, shape }] of Object.entries(feeds))
    given[input] = new ort.Tensor((peerTypes[dtype] ?? dtype) as 'float32', data as Float32Array, [...shape]);
  return { name, run: async () => void (await session.run(given)) };
}

function median(times: readonly number[]): number {
  const sorted = [...times].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

export async function benchCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const path = onlyPositional(positionals, 'MODEL', 'bench');
  const runs = integer(values, 'runs', { min: 1, max: 100_000 }) ?? 20;
  const peer = text(values, 'peer');
  if (peer !== undefined && !['onnxruntime-web', 'onnxruntime-node'].includes(peer))
    throw new UsageError(`--peer is '${peer}'; onnxruntime-web or onnxruntime-node is needed`);
  return await withContext(values, async (context) => {
    const start = performance.now();
    const { model, session } = await opened(context, path, false);
    try {
      const feeds = madeFeeds(model);
      await session.run(feeds, context.run);
      const firstMs = performance.now() - start;
      const rivals: Peer[] = [{ name: 'bitwright', run: async () => void (await session.run(feeds, context.run)) }];
      if (peer !== undefined) rivals.push(await openPeer(peer, path, feeds, session.info.threads));
      const times: number[][] = rivals.map(() => []);
      const warmUps = Math.max(3, Math.ceil(runs / 4));
      for (let i = -warmUps; i < runs; ++i)
        for (const [k, rival] of rivals.entries()) {
          const began = performance.now();
          await rival.run();
          if (i >= 0) times[k]?.push(performance.now() - began);
        }
      const rows = rivals.map(({ name }, k) => {
        const own = times[k] ?? [];
        return { name, medianMs: median(own), leastMs: Math.min(...own), mostMs: Math.max(...own), runs };
      });
      const result = { info: session.info, firstMs, rows };
      context.print(flag(values, 'json') ? JSON.stringify(result) : benchText(result));
    } finally {
      session.dispose();
    }
    return exitCodes.done;
  });
}
