// Runs the wasm test program in a worker of a Chromium page.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchChromium } from '../chromium.mjs';
import { serve } from '../serve.mjs';

const limitMs = 10 * 60_000;

const page = '<!doctype html><script type="module" src="doctest-page.js"></script>';
const pageScript = `
const worker = new Worker('doctest-worker.js', { type: 'module' });
worker.onmessage = ({ data }) => (data.line === undefined ? window.testsEnded(data.status) : window.testsPrinted(data.line));
worker.onerror = (event) => { window.testsPrinted('worker: ' + event.message); window.testsEnded(1); };
`;
const workerScript = `
import create from '../bitwright_tests.mjs';
const print = (line) => postMessage({ line });
try {
  const module = await create({ print, printErr: print });
  postMessage({ status: module.callMain(['--no-colors']) });
} catch (error) {
  print(String(error?.stack ?? error));
  postMessage({ status: 1 });
}
`;

/** Resolves with {status, output}, as scripts/steps.mjs run() does. */
export async function runDoctestInChromium(folder) {
  const pages = join(folder, 'page');
  mkdirSync(pages, { recursive: true });
  writeFileSync(join(pages, 'index.html'), page);
  writeFileSync(join(pages, 'doctest-page.js'), pageScript);
  writeFileSync(join(pages, 'doctest-worker.js'), workerScript);
  const server = await serve(folder);
  const browser = await launchChromium();
  let limit;
  try {
    const tab = await browser.newPage();
    const lines = [];
    await tab.exposeFunction('testsPrinted', (line) => {
      lines.push(line);
      console.log(line);
    });
    const ended = new Promise((done) => tab.exposeFunction('testsEnded', done));
    const late = new Promise((done) => {
      limit = setTimeout(() => done(1), limitMs);
    });
    await tab.goto(`${server.address}/page/`);
    const status = await Promise.race([ended, late]);
    return { status, output: lines.join('\n') };
  } finally {
    clearTimeout(limit);
    await browser.close();
    await server.close();
  }
}
