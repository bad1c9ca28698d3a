import { QuantError } from './errors.js';
import type { Model } from './load-model.js';
import { Owned, sampleSpec } from './toolkit.js';
import type {
  Arithmetic,
  ExplainRow,
  Feeds,
  ImageSample,
  KernelFamily,
  RunOptions,
  SessionSpec,
  Tensor,
  TypedArray,
  ValueInfo,
} from './types.js';

export interface SessionOptions {
  readonly threads?: number;
  /** Keeps the time of every step: see `explain`. */
  readonly profile?: boolean;
  /** How quantized parts are computed; `fast` by default. */
  readonly arithmetic?: Arithmetic;
  /** Forces the integer kernels, for tests; `auto` by default: what a probe found on this machine. */
  readonly kernels?: KernelFamily | 'auto';
}

/** The reason for each default. */
export const sessionDefaults = {
  /** Times cost a clock per step. */
  profile: false,
  /** As onnxruntime computes, and fastest. */
  arithmetic: 'fast',
  /** All give the same bits. */
  kernels: 'auto',
} as const satisfies Omit<SessionSpec, 'threads'>;

export interface SessionInfo {
  readonly module: 'simd' | 'relaxed';
  readonly kernels: KernelFamily;
  readonly threads: number;
  /** Why this module, and why not more threads. */
  readonly reason: string;
  readonly arithmetic: Arithmetic;
  /** True if parts of the model compute on codes. */
  readonly integer: boolean;
}

export interface SessionRunOptions extends RunOptions {
  /** Arrays that results are written into, by output name: of the output's element type and length, else a fresh one is made. */
  readonly outputs?: Readonly<Record<string, TypedArray>>;
}

export interface NodeTime {
  readonly node: string;
  readonly opType: string;
  readonly timeMs: number;
  readonly runs: number;
}

/** A model planned for runs on our engine. */
export class Session extends Owned {
  /** @internal */
  constructor(
    private readonly model: Model,
    private readonly id: number,
    readonly inputs: readonly ValueInfo[],
    readonly outputs: readonly ValueInfo[],
    /** Module, kernels, threads and arithmetic, and why. */
    readonly info: SessionInfo,
  ) {
    super(`a session of ${model.info.fileName}`, () => model.toolkit.call('disposeSession', { sessionId: id }));
  }

  /**
   * One run.
   *
   * @param input tensors by input name, or a picture with its preprocessing
   * @throws QuantError `invalid_argument` where a feed is no tensor, or its name, type or shape is wrong
   */
  async run(input: Feeds | ImageSample, run: SessionRunOptions = {}): Promise<Readonly<Record<string, Tensor>>> {
    return (await this.runObserved(input, [], run)).outputs;
  }

  /** The same, with inner values by name: for finding out where two models part. Such a run is a simulated one. */
  async runObserved(
    input: Feeds | ImageSample,
    observe: readonly string[],
    run: SessionRunOptions = {},
  ): Promise<{ readonly outputs: Readonly<Record<string, Tensor>>; readonly observed: Readonly<Record<string, Tensor>> }> {
    this.checkLive();
    const isImage = typeof input === 'object' && input !== null && 'image' in input && 'preprocessing' in input;
    const sample = await sampleSpec(isImage ? (input as ImageSample) : { feeds: input as Feeds });
    const { toolkit } = this.model;
    const reused = run.outputs ?? {};
    const request = { sessionId: this.id, sample, observe, outputs: toolkit.backend.isDirect ? reused : {} };
    const answer = await toolkit.call('runSession', request, run);
    if (toolkit.backend.isDirect || run.outputs === undefined) return answer;
    const outputs = Object.fromEntries(
      Object.entries(answer.outputs).map(([name, made]) => [name, intoArray(made, reused[name])]),
    );
    return { ...answer, outputs };
  }

  /** Time per node over all runs so far; needs `profile: true`. */
  async profile(): Promise<readonly NodeTime[]> {
    return (await this.explain()).map(({ node, opType, timeMs, runs }) => ({ node, opType, timeMs, runs }));
  }

  /** Every step of the plan: which nodes it stands for, kernel, layout, whether it computes on codes and why not, its time. */
  async explain(): Promise<readonly ExplainRow[]> {
    this.checkLive();
    return await this.model.toolkit.call('explainSession', { sessionId: this.id });
  }
}

/** What came from a worker, in the caller's array where it fits. */
function intoArray(made: Tensor, reused: TypedArray | undefined): Tensor {
  if (reused === undefined || reused.byteLength !== made.data.byteLength) return made;
  const { buffer, byteOffset, byteLength } = made.data;
  new Uint8Array(reused.buffer, reused.byteOffset, reused.byteLength).set(new Uint8Array(buffer, byteOffset, byteLength));
  return { ...made, data: reused };
}

const words = {
  arithmetic: ['fast', 'integer_only', 'simulated'],
  kernels: ['auto', 'reference', 'simd128', 'usdot', 'sdot'],
} as const;

function checked<T extends string>(name: string, value: T, allowed: readonly T[]): T {
  if (allowed.includes(value)) return value;
  throw new QuantError('invalid_argument', `${name} is '${value}'; one of ${allowed.join(', ')} is needed`, name);
}

/**
 * Plans a model for runs.
 *
 * @throws QuantError `unsupported` naming the first node our engine cannot run
 * @example
 * const session = await createSession(model);
 * const { logits } = await session.run({ image: { dtype: 'f32', shape: [1, 3, 64, 64], data } });
 */
export async function createSession(model: Model, options: SessionOptions = {}, run: RunOptions = {}): Promise<Session> {
  model.checkLive();
  const { threads, reason, variant } = model.toolkit.info;
  const spec: SessionSpec = { threads, ...sessionDefaults, ...options };
  checked('arithmetic', spec.arithmetic, words.arithmetic);
  checked('kernels', spec.kernels, words.kernels);
  const made = await model.toolkit.call('createSession', { modelId: model.id, options: spec }, run);
  const { sessionId, inputs, outputs, kernels, integer } = made;
  const usedThreads = Math.min(spec.threads, threads);
  return new Session(model, sessionId, inputs, outputs, {
    module: variant,
    kernels,
    threads: usedThreads,
    reason,
    arithmetic: spec.arithmetic,
    integer,
  });
}
