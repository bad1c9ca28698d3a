/** The entry of the browser's worker. */
import { importGlueAhead } from './browser-module.js';
import { browserPlatform } from './platform-browser.js';
import type { ToHost, ToPrepare } from './worker/protocol.js';
import { serve } from './worker/serve.js';

const scope = globalThis as unknown as {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: 'message', listener: (event: MessageEvent<ToHost | ToPrepare>) => void): void;
};
const receive = serve(browserPlatform, (message, transfer) => {
  scope.postMessage(message, transfer);
});
scope.addEventListener('message', (event) => {
  if (event.data.kind === 'prepare') void importGlueAhead(event.data.options);
  else receive(event.data);
});
