/** A backend on the caller's own thread: Node's default, and tests. */
import { QuantError, fromErrorData, toErrorData } from '../errors.js';
import { Host } from './host.js';
import type { Platform } from './platform.js';
import type { AnswerOf, Backend, OpenOptions, RequestOf, Verb } from './protocol.js';

/** setTimeout waits for at least a millisecond, which is long beside a small call. */
const nextTurn = (): Promise<void> =>
  new Promise((resolve) => {
    if (typeof setImmediate === 'function') setImmediate(resolve);
    else setTimeout(resolve, 0);
  });

export async function openDirect(platform: Platform, options: OpenOptions): Promise<Backend> {
  const host = await Host.open(platform, options);
  let isOpen = true;
  return {
    isDirect: true,
    async call<V extends Verb>(
      verb: V,
      request: RequestOf<V>,
      callOptions: Parameters<Backend['call']>[2] = {},
    ): Promise<AnswerOf<V>> {
      if (!isOpen) throw new QuantError('disposed', 'the toolkit was disposed');
      // A turn of the event loop between calls: signals fire, timers run, progress is drawn.
      await nextTurn();
      callOptions.signal?.throwIfAborted();
      try {
        return await host.call(verb, request, callOptions.onProgress ?? (() => undefined));
      } catch (error) {
        throw error instanceof QuantError ? error : fromErrorData(toErrorData(error));
      }
    },
    close: async () => {
      isOpen = false;
    },
  };
}
