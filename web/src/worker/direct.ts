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

/** A turn costs as much as a small call; half of a frame is soon enough for whoever waits for one. */
const turnEveryMs = 8;

export async function openDirect(platform: Platform, options: OpenOptions): Promise<Backend> {
  const host = await Host.open(platform, options);
  const nextTurn =
    typeof setImmediate === 'function' ? () => new Promise<void>((resolve) => setImmediate(resolve)) : turnsByMessages();
  let isOpen = true;
  let lastTurnMs = 0;
  /** A turn of the event loop now and then between calls: signals fire, timers run, progress is drawn. */
  const turnWhereDue = async (): Promise<void> => {
    if (performance.now() - lastTurnMs <= turnEveryMs) return;
    await nextTurn();
    lastTurnMs = performance.now();
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
      try {
        return await host.call(verb, request, {
          onProgress: callOptions.onProgress ?? (() => undefined),
          isCancelled: () => callOptions.signal?.aborted ?? false,
        });
      } catch (error) {
        throw error instanceof QuantError ? error : fromErrorData(toErrorData(error));
      }
    },
    close: async () => {
      isOpen = false;
    },
  };
}
