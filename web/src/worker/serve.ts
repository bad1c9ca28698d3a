/** The worker's side of the messages: one host, calls answered in order. */
import { QuantError, toErrorData } from '../errors.js';
import { isCancelledBy } from './cancel.js';
import { Host } from './host.js';
import type { Platform } from './platform.js';
import type { FromHost, ToHost } from './protocol.js';

/** Buffers of a fresh answer that nobody else holds: they may be moved instead of copied. */
function transferables(value: unknown, found: ArrayBuffer[] = []): ArrayBuffer[] {
  if (ArrayBuffer.isView(value)) {
    if (
      value.buffer instanceof ArrayBuffer &&
      value.byteLength === value.buffer.byteLength &&
      value.byteLength > 0 &&
      !found.includes(value.buffer)
    ) {
      found.push(value.buffer);
    }
  } else if (typeof value === 'object' && value !== null) {
    for (const inner of Object.values(value)) transferables(inner, found);
  }
  return found;
}

export function serve(platform: Platform, post: (message: FromHost, transfer: ArrayBuffer[]) => void): (message: ToHost) => void {
  let host: Host | undefined;
  let queue: Promise<void> = Promise.resolve();

  const answer = async (message: ToHost): Promise<void> => {
    const lent = message.kind === 'call' ? message.lent : [];
    try {
      if (message.kind === 'open') {
        host = await Host.open(platform, message.options);
        post({ kind: 'answer', id: message.id, answer: null, lent }, []);
        return;
      }
      if (host === undefined) throw new QuantError('internal', 'the worker was called before it was opened');
      const result = await host.call(message.verb, message.request as never, {
        onProgress: (progress) => {
          post({ kind: 'progress', id: message.id, progress }, []);
        },
        isCancelled: isCancelledBy(message.cancel),
      });
      post({ kind: 'answer', id: message.id, answer: result, lent }, transferables(result, [...lent]));
    } catch (error) {
      post({ kind: 'error', id: message.id, error: toErrorData(error), lent }, [...lent]);
    }
  };
  return (message) => {
    queue = queue.then(() => answer(message));
  };
}
