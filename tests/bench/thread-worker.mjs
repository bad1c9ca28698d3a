// threadRuns in a worker of a page: the engine works on this thread, which may wait for others.
import * as ours from '../dist/index.js';
import { threadRuns } from './work.mjs';

globalThis.onmessage = async ({ data: [bytes, options] }) => {
  globalThis.postMessage(await threadRuns(ours, bytes, options));
};
