/** A backend behind messages: a browser's Worker, or a worker thread in Node. */
import { QuantError, fromErrorData } from '../errors.js';
import { makeCanceller } from './cancel.js';
import type {
  AnswerOf,
  Backend,
  FromHost,
  LentBuffers,
  OnHostProgress,
  OpenOptions,
  RequestOf,
  ToHost,
  Verb,
} from './protocol.js';
import type { Tensor, TypedArray } from '../types.js';

/** The part of a worker that a client needs; Worker and worker_threads are adapted to it. */
export interface WorkerPort {
  post(message: ToHost, transfer: readonly ArrayBuffer[]): void;
  onMessage(listener: (message: FromHost) => void): void;
  /** The worker died or could not start. */
  onFailure(listener: (reason: string) => void): void;
  terminate(): void;
}

interface Pending {
  readonly resolve: (answer: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly onProgress: OnHostProgress | undefined;
}

/**
 * Tensors on their way to the worker. They are copied, so that the caller keeps them, into buffers that are moved there and come back:
 * a copy by the browser takes two passes, and memory that is new each time.
 */
class Lending {
  private spare: ArrayBuffer[] = [];

  /** The request with its tensors in lent buffers. */
  lend<V extends Verb>(request: RequestOf<V>): { readonly request: RequestOf<V>; readonly lent: ArrayBuffer[] } {
    if (!('sample' in request) || request.sample.kind !== 'feeds') return { request, lent: [] };
    const lent: ArrayBuffer[] = [];
    const feeds = Object.entries(request.sample.feeds).map(([name, tensor]): [string, Tensor] => {
      const { data } = tensor;
      if (data.byteLength === 0) return [name, tensor];
      const { buffer, byteOffset, byteLength } = data;
      const place = this.take(byteLength);
      new Uint8Array(place).set(new Uint8Array(buffer, byteOffset, byteLength));
      lent.push(place);
      const Kind = data.constructor as new (buffer: ArrayBuffer) => TypedArray;
      return [name, { ...tensor, data: new Kind(place) }];
    });
    return { request: { ...request, sample: { kind: 'feeds', feeds: Object.fromEntries(feeds) } }, lent };
  }

  /** What one call gave back is kept for the next. */
  takeBack(lent: LentBuffers): void {
    if (lent.length > 0) this.spare = [...lent];
  }

  private take(byteLength: number): ArrayBuffer {
    const at = this.spare.findIndex((buffer) => buffer.byteLength === byteLength);
    return at < 0 ? new ArrayBuffer(byteLength) : (this.spare.splice(at, 1)[0] as ArrayBuffer);
  }
}

/** @param options may come later than the worker: it starts meanwhile */
export async function openClient(port: WorkerPort, options: OpenOptions | Promise<OpenOptions>): Promise<Backend> {
  const pending = new Map<number, Pending>();
  const lending = new Lending();
  let nextId = 1;
  let closedBecause: QuantError | undefined;

  const closeWith = (error: QuantError): void => {
    closedBecause ??= error;
    for (const call of pending.values()) call.reject(error);
    pending.clear();
  };
  port.onMessage((message) => {
    if (message.kind !== 'progress') lending.takeBack(message.lent);
    const call = pending.get(message.id);
    if (call === undefined) return;
    if (message.kind === 'progress') {
      call.onProgress?.(message.progress);
      return;
    }
    pending.delete(message.id);
    if (message.kind === 'answer') call.resolve(message.answer);
    else call.reject(fromErrorData(message.error));
  });
  port.onFailure((reason) => {
    closeWith(new QuantError('toolkit_lost', `the worker stopped: ${reason}; open a new toolkit`));
  });

  const send = (
    makeMessage: (id: number) => ToHost,
    transfer: readonly ArrayBuffer[],
    onProgress?: OnHostProgress,
  ): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (closedBecause !== undefined) {
        reject(closedBecause);
        return;
      }
      const id = nextId++;
      pending.set(id, { resolve, reject, onProgress });
      try {
        port.post(makeMessage(id), transfer);
      } catch (error) {
        pending.delete(id);
        reject(
          new QuantError(
            'invalid_argument',
            `the request cannot be sent to the worker: ${error instanceof Error ? error.message : String(error)}`,
          ),
        );
      }
    });

  try {
    const known = await options;
    await send((id) => ({ kind: 'open', id, options: known }), []);
  } catch (error) {
    port.terminate();
    throw error;
  }
  return {
    isDirect: false,
    async call<V extends Verb>(
      verb: V,
      request: RequestOf<V>,
      callOptions: Parameters<Backend['call']>[2] = {},
    ): Promise<AnswerOf<V>> {
      const { request: sent, lent } = lending.lend(request);
      const { signal } = callOptions;
      const canceller = signal === undefined ? null : makeCanceller(verb);
      const onAbort = (): void => canceller?.cancel();
      signal?.addEventListener('abort', onAbort, { once: true });
      try {
        const answer = await send(
          (id) => ({ kind: 'call', id, verb, request: sent, lent, cancel: canceller?.token ?? null }) as ToHost,
          [...(callOptions.transfer ?? []), ...lent],
          callOptions.onProgress,
        );
        return answer as AnswerOf<V>;
      } finally {
        signal?.removeEventListener('abort', onAbort);
        canceller?.release();
      }
    },
    close: async () => {
      closeWith(new QuantError('disposed', 'the toolkit was disposed'));
      port.terminate();
    },
  };
}
