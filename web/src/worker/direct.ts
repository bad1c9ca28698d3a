/** A backend on the caller's own thread: Node's default, and for browsers' threads that may be kept busy. */
import { QuantError, fromErrorData, toErrorData } from '../errors.js';
import { Host } from './host.js';
import type { Platform } from './platform.js';
import type { AnswerOf, Backend, OpenOptions, RequestOf, Verb } from './protocol.js';

/** Browsers have no setImmediate, and setTimeout waits for milliseconds, which is long beside a small call. */
function turnsByMessages(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  const waiting: (() => void)[] = [];
  port1.onmessage = () => waiting.shift()?.();
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(null);
    });
}

/** A turn costs as much as a small call; half of a frame of our own work is soon enough for whoever waits for one. */
const turnEveryMs = 8;

export async function openDirect(platform: Platform, options: OpenOptions): Promise<Backend> {
  const host = await Host.open(platform, options);
  const nextTurn =
    typeof setImmediate === 'function' ? () => new Promise<void>((resolve) => setImmediate(resolve)) : turnsByMessages();
  let isOpen = true;
  /** In calls since the last turn; at first there was none. */
  let busyMs = Infinity;
  /** A turn of the event loop now and then between calls: signals fire, timers run, progress is drawn. */
  const turnWhereDue = async (): Promise<void> => {
    if (busyMs <= turnEveryMs) return;
    await nextTurn();
    busyMs = 0;
  };
  /** When the last call has begun: calls begin in the order in which they were made. */
  let started = Promise.resolve();
  return {
    isDirect: true,
    async call<V extends Verb>(
      verb: V,
      request: RequestOf<V>,
      callOptions: Parameters<Backend['call']>[2] = {},
    ): Promise<AnswerOf<V>> {
      if (!isOpen) throw new QuantError('disposed', 'the toolkit was disposed');
      started = started.then(turnWhereDue);
      await started;
      callOptions.signal?.throwIfAborted();
      const begunMs = performance.now();
      try {
        return await host.call(verb, request, {
          onProgress: callOptions.onProgress ?? (() => undefined),
          isCancelled: () => callOptions.signal?.aborted ?? false,
        });
      } catch (error) {
        throw error instanceof QuantError ? error : fromErrorData(toErrorData(error));
      } finally {
        busyMs += performance.now() - begunMs;
      }
    },
    close: async () => {
      isOpen = false;
    },
  };
}
