import { checkSample } from './check-sample.js';
import { QuantError } from './errors.js';
import type { AnswerOf, Backend, RequestOf, SampleSpec, SourceSpec, Verb, WasmInfo } from './worker/protocol.js';
import type { ByteInput, Feeds, Progress, RunOptions, Sample } from './types.js';

/** Older engines have no Symbol.dispose: `using` is compiled to this one there. */
export const disposeSymbol: typeof Symbol.dispose = Symbol.dispose ?? (Symbol.for('Symbol.dispose') as typeof Symbol.dispose);
export const asyncDisposeSymbol: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose);

export interface ToolkitOptions {
  /** Threads of the engine; 1 by default: more need shared memory (`info.reason` says why there are fewer). */
  readonly threads?: number;
  /** `auto` takes relaxed SIMD where the engine has it; deterministic results have the same bits in either module. */
  readonly variant?: 'auto' | 'simd' | 'relaxed';
  /** Folder of the .wasm files, with a slash at its end, where they do not lie beside the package's own files. */
  readonly wasmUrl?: string;
  /**
   * Where calls run. `worker`, the default in browsers, keeps the caller's thread free. `caller`, the default in Node, saves the way
   * there and back (0.1 to 0.4 ms a call in browsers, and copies of large tensors): for models of a millisecond, and where the
   * caller is a worker already. On a page's own thread everything waits meanwhile.
   */
  readonly runIn?: 'worker' | 'caller';
}

const owners = new FinalizationRegistry<string>((what) => {
  console.warn(`bitwright: ${what} was not disposed; call dispose() when you are done with it`);
});

/** Something in the core that is freed by `dispose`. Disposing twice is harmless; use after it throws `disposed`. */
export class Owned {
  private isLive = true;

  /** @internal */
  constructor(
    private readonly what: string,
    private readonly release: () => Promise<unknown>,
  ) {
    owners.register(this, what, this);
  }

  /** @internal */
  checkLive(): void {
    if (!this.isLive) throw new QuantError('disposed', `${this.what} was disposed before`);
  }

  get isDisposed(): boolean {
    return !this.isLive;
  }

  dispose(): void {
    if (!this.isLive) return;
    this.isLive = false;
    owners.unregister(this);
    // The core frees it when the calls before it are done. Freeing cannot fail: it is refused by a toolkit that was closed or
    // whose engine stopped (`toolkit_lost`, told to the call that stopped it), and they have freed everything already.
    this.release().catch((error: unknown) => {
      if (!(error instanceof QuantError && (error.code === 'disposed' || error.code === 'toolkit_lost'))) throw error;
    });
  }

  [disposeSymbol](): void {
    this.dispose();
  }
}

/** Owns the engine (and its worker). Close it when done: models, sessions and results end with it. */
export class Toolkit {
  private isLive = true;

  /** @internal */
  constructor(
    /** @internal */
    readonly backend: Backend,
    /** Which module runs, with how many threads, and why. */
    readonly info: WasmInfo,
  ) {}

  /** @internal */
  async call<V extends Verb>(
    verb: V,
    request: RequestOf<V>,
    options: RunOptions = {},
    transfer: readonly ArrayBuffer[] = [],
  ): Promise<AnswerOf<V>> {
    if (!this.isLive) throw new QuantError('disposed', 'the toolkit was disposed before');
    options.signal?.throwIfAborted();
    const { signal } = options;
    const answer = this.backend.call(verb, request, { onProgress: options.onProgress, transfer, signal });
    return await untilAborted(answer, signal, (late) => this.releaseLate(late));
  }

  /** What an aborted call made all the same, when it comes to its end in the worker: nobody else would free it. */
  private releaseLate(late: AnswerOf<Verb>): void {
    const made = late as unknown as Partial<Record<'modelId' | 'sessionId' | 'calibrationId' | 'comparisonId', number>> | null;
    const { modelId, sessionId, calibrationId, comparisonId } = made ?? {};
    const free = (released: Promise<unknown>): void => void released.catch(() => undefined);
    if (modelId !== undefined) free(this.call('disposeModel', { modelId }));
    if (sessionId !== undefined) free(this.call('disposeSession', { sessionId }));
    if (calibrationId !== undefined) free(this.call('disposeCalibration', { calibrationId }));
    if (comparisonId !== undefined) free(this.call('disposeComparison', { comparisonId }));
  }

  /** How many models, sessions, calibrations and comparisons live: for tests. */
  async liveHandles(): Promise<number> {
    return (await this.call('liveHandles', {})).handles;
  }

  /** Bytes that the engine's memory has grown to: it keeps them until the toolkit is disposed. */
  async heldBytes(): Promise<number> {
    return (await this.call('liveHandles', {})).heldBytes;
  }

  async dispose(): Promise<void> {
    if (!this.isLive) return;
    this.isLive = false;
    await this.backend.close();
  }

  async [asyncDisposeSymbol](): Promise<void> {
    await this.dispose();
  }
}

/** Rejects with the signal's reason as soon as it is aborted; the call itself ends at its next step, what it still answers goes to `onLate`. */
export async function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  onLate: (late: T) => void,
): Promise<T> {
  if (signal === undefined) return await promise;
  return await new Promise<T>((resolve, reject) => {
    let isLate = false;
    const onAbort = (): void => {
      isLate = true;
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    promise
      .then((answer) => (isLate ? onLate(answer) : resolve(answer)), reject)
      .finally(() => {
        signal.removeEventListener('abort', onAbort);
      });
    if (signal.aborted) onAbort();
  });
}

/** The last part of a path. */
export const nameOfPath = (path: string): string => path.replace(/^.*[\\/]/, '');

/** What to call an input in messages. */
export function inputName(input: ByteInput, otherwise: string): string {
  if (typeof input === 'string') return nameOfPath(input);
  if (typeof File !== 'undefined' && input instanceof File) return input.name;
  return otherwise;
}

/** How an input crosses to this backend. Bytes are copied unless `transfer`, so that the caller's stay usable. */
export async function sourceSpec(input: ByteInput, name: string, backend: Backend): Promise<SourceSpec> {
  if (typeof input === 'string') return { kind: 'path', path: input, name };
  if (input instanceof Uint8Array) return { kind: 'bytes', bytes: input, name };
  if (input instanceof ArrayBuffer) return { kind: 'bytes', bytes: new Uint8Array(input), name };
  if (typeof Blob !== 'undefined' && input instanceof Blob) {
    if (backend.isDirect) return { kind: 'bytes', bytes: new Uint8Array(await input.arrayBuffer()), name };
    return { kind: 'blob', blob: input, name };
  }
  if (typeof input === 'object' && input !== null && 'read' in input && 'sizeBytes' in input) {
    if (!backend.isDirect)
      throw new QuantError('invalid_argument', `${name}: a reader needs a toolkit opened with runIn 'caller'`);
    return { kind: 'reader', reader: input, name };
  }
  throw new QuantError('invalid_argument', `${name}: give a Uint8Array, ArrayBuffer, Blob, path or reader`);
}

/** How a checked sample crosses to the backend. `state` replaces feeds: outputs of the last run, where the model carries state. */
export async function sampleSpec(sample: Sample, state: Feeds = {}): Promise<SampleSpec> {
  checkSample(sample);
  if ('feeds' in sample) return { kind: 'feeds', feeds: { ...sample.feeds, ...state } };
  const bytes = sample.image instanceof Uint8Array ? sample.image : new Uint8Array(await sample.image.arrayBuffer());
  return { kind: 'image', bytes, name: sample.name ?? 'image', input: sample.input, preprocessing: sample.preprocessing };
}

/** Reports `done` of `total` with an estimate from the time taken so far. */
export function progressOf(
  stage: string,
  total: number,
  onProgress: ((progress: Progress) => void) | undefined,
): (done: number) => void {
  const startedMs = performance.now();
  return (done) => {
    if (onProgress === undefined) return;
    const atLeast = Math.max(total, done);
    if (done === 0 || done >= atLeast) onProgress({ stage, done, total: atLeast });
    else onProgress({ stage, done, total: atLeast, etaMs: ((performance.now() - startedMs) / done) * (atLeast - done) });
  };
}

/** The count of samples where it is known before they are read. */
export function countOf(samples: object): number {
  if (Array.isArray(samples)) return samples.length;
  if ('length' in samples && typeof samples.length === 'number') return samples.length;
  return 0;
}
