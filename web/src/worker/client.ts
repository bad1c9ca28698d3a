/** A backend behind messages: a browser's Worker, or a worker thread in Node. */
import { QuantError, fromErrorData } from '../errors.js';
import type { AnswerOf, Backend, FromHost, OnHostProgress, OpenOptions, RequestOf, ToHost, Verb } from './protocol.js';

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

/** @param options may come later than the worker: it starts meanwhile */
export async function openClient(port: WorkerPort, options: OpenOptions | Promise<OpenOptions>): Promise<Backend> {
  const pending = new Map<number, Pending>();
  let nextId = 1;
  let closedBecause: QuantError | undefined;

  const closeWith = (error: QuantError): void => {
    closedBecause ??= error;
    for (const call of pending.values()) call.reject(error);
    pending.clear();
  };
  port.onMessage((message) => {
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
      const answer = await send(
        (id) => ({ kind: 'call', id, verb, request }) as ToHost,
        callOptions.transfer ?? [],
        callOptions.onProgress,
      );
      return answer as AnswerOf<V>;
    },
    close: async () => {
      closeWith(new QuantError('disposed', 'the toolkit was disposed'));
      port.terminate();
    },
  };
}
