/// <reference lib="esnext.disposable" preserve="true" />
/** The package in browsers: everything runs in a worker, unless the caller wants it on its own thread. */
import { Toolkit, type ToolkitOptions } from './toolkit.js';
import { compileAhead } from './browser-module.js';
import { openClient, type WorkerPort } from './worker/client.js';
import type { Backend, FromHost, OpenOptions } from './worker/protocol.js';

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

/** What a page does not need that leaves the engine to the worker is loaded here. */
async function openOnThisThread(open: OpenOptions): Promise<Backend> {
  const [{ openDirect }, { browserPlatform }, compiled] = await Promise.all([
    import('./worker/direct.js'),
    import('./platform-browser.js'),
    compileAhead(open),
  ]);
  return await openDirect(browserPlatform, compiled);
}

/**
 * Starts the engine, in a worker of its own unless `runIn` says otherwise.
 *
 * @returns dispose it when done
 * @throws QuantError `io_failed` where the module cannot be loaded
 * @example
 * const toolkit = await openToolkit();
 * try { ... } finally { await toolkit.dispose(); }
 */
export async function openToolkit(options: ToolkitOptions = {}): Promise<Toolkit> {
  const isOnPage = options.runIn === 'caller' && typeof document !== 'undefined';
  const open = {
    wasmUrl: options.wasmUrl ?? '',
    threads: options.threads ?? 1,
    variant: options.variant ?? 'auto',
    mayNotWait: isOnPage,
  };
  const backend = options.runIn === 'caller' ? await openOnThisThread(open) : await openClient(workerPort(), compileAhead(open));
  return new Toolkit(backend, await backend.call('info', {}));
}
