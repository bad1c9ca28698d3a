/** The package in Node: on the caller's thread by default, or in a worker thread. */
import { Worker } from 'node:worker_threads';

import { nodePlatform } from './platform-node.js';
import { Toolkit, type ToolkitOptions } from './toolkit.js';
import { openClient, type WorkerPort } from './worker/client.js';
import { openDirect } from './worker/direct.js';
import type { FromHost } from './worker/protocol.js';

export * from './api.js';

function workerPort(): WorkerPort {
  const worker = new Worker(new URL('./node-worker.js', import.meta.url));
  return {
    post: (message, transfer) => {
      worker.postMessage(message, [...transfer]);
    },
    onMessage: (listener) => {
      worker.on('message', (message: FromHost) => {
        listener(message);
      });
    },
    onFailure: (listener) => {
      worker.on('error', (error) => {
        listener(error instanceof Error ? error.message : String(error));
      });
      worker.on('exit', (code) => {
        listener(`exit code ${code}`);
      });
    },
    terminate: () => {
      void worker.terminate();
    },
  };
}

/**
 * Starts the engine.
 *
 * @returns dispose it when done
 * @throws QuantError `io_failed` where the module cannot be loaded
 * @example
 * const toolkit = await openToolkit();
 * try { ... } finally { await toolkit.dispose(); }
 */
export async function openToolkit(options: ToolkitOptions = {}): Promise<Toolkit> {
  const open = { wasmUrl: options.wasmUrl ?? '', threads: options.threads ?? 1, variant: options.variant ?? 'auto' } as const;
  const backend = options.runIn === 'worker' ? await openClient(workerPort(), open) : await openDirect(nodePlatform, open);
  return new Toolkit(backend, await backend.call('info', {}));
}
