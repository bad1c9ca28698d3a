/** The entry of the browser's worker. */
import { browserPlatform } from './platform-browser.js';
import type { ToHost } from './worker/protocol.js';
import { serve } from './worker/serve.js';

const scope = globalThis as unknown as {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<ToHost>) => void): void;
};
const receive = serve(browserPlatform, (message, transfer) => {
  scope.postMessage(message, transfer);
});
scope.addEventListener('message', (event) => {
  receive(event.data);
});
