/** The entry of a worker thread in Node. */
import { parentPort } from 'node:worker_threads';

import { nodePlatform } from './platform-node.js';
import type { ToHost } from './worker/protocol.js';
import { serve } from './worker/serve.js';

if (parentPort !== null) {
  const port = parentPort;
  const receive = serve(nodePlatform, (message, transfer) => {
    port.postMessage(message, transfer);
  });
  port.on('message', (message: ToHost) => {
    receive(message);
  });
}
