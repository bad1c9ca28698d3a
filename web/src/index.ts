/// <reference lib="esnext.disposable" preserve="true" />
/** The package in browsers: everything runs in a worker. */
import { QuantError } from './errors.js';
import { Toolkit, type ToolkitOptions } from './toolkit.js';
import { compileAhead } from './browser-module.js';
import { openClient, type WorkerPort } from './worker/client.js';
import type { FromHost } from './worker/protocol.js';

export * from './api.js';

function workerPort(): WorkerPort {
  const worker = new Worker(new URL('./browser-worker.js', import.meta.url), { type: 'module' });
  return {
    post: (message, transfer) => {
      worker.postMessage(message, [...transfer]);
    },
    onMessage: (listener) => {
      worker.addEventListener('message', (event: MessageEvent<FromHost>) => {
        listener(event.data);
      });
    },
    onFailure: (listener) => {
      worker.addEventListener('error', (event) => {
        listener(event.message || 'it could not be started');
      });
      worker.addEventListener('messageerror', () => {
        listener('a message could not be read');
      });
    },
    terminate: () => {
      worker.terminate();
    },
  };
}

/**
 * Starts the engine in a worker of its own.
 *
 * @returns dispose it when done
 * @throws QuantError `io_failed` where the module cannot be loaded
 * @example
 * const toolkit = await openToolkit();
 * try { ... } finally { await toolkit.dispose(); }
 */
export async function openToolkit(options: ToolkitOptions = {}): Promise<Toolkit> {
  if (options.runIn === 'caller')
    throw new QuantError('invalid_argument', "runIn 'caller' is for Node: in a browser heavy work stays off the page's thread");
  const open = { wasmUrl: options.wasmUrl ?? '', threads: options.threads ?? 1, variant: options.variant ?? 'auto' };
  const backend = await openClient(workerPort(), compileAhead(open));
  return new Toolkit(backend, await backend.call('info', {}));
}
