// Where the timed work runs: this Node, or a page of Chromium that imports the same files.
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findChrome, launchChromium } from '../../scripts/chromium.mjs';
import { serve } from '../../scripts/serve.mjs';
import { Failure, root } from '../../scripts/steps.mjs';
import * as products from './products.mjs';
import * as timed from './work.mjs';

const work = { ...timed, ...products };
const besidePeer = new Set(['floatRuns', 'productRuns']);

const shared = process.env.BITWRIGHT_SHARED ?? join(root, '../shared');
export const modelPath = join(shared, 'models/classification/mobilenet_v2_1.0_224.onnx');

export function needModel() {
  if (!existsSync(modelPath))
    throw new Failure(`The model ${modelPath} is not there: name the folder of shared models in BITWRIGHT_SHARED.`);
}

export const loadPackage = () => import(pathToFileURL(join(root, 'web/dist/node.js')).href);

async function inNode(name, options) {
  const bytes = new Uint8Array(readFileSync(modelPath));
  const ours = await loadPackage();
  if (!besidePeer.has(name)) return work[name](ours, bytes, options);
  return work[name](ours, await import('onnxruntime-web'), bytes, options);
}

const page = '<!doctype html><title>benchmark</title><script type="module" src="page.js"></script>';
const script = `
import * as products from './bench/products.mjs';
import * as timed from './bench/work.mjs';
import * as ours from './dist/index.js';
const work = { ...timed, ...products };
const besidePeer = ${JSON.stringify([...besidePeer])};
window.measure = async (name, options) => {
  const bytes = new Uint8Array(await (await fetch('model.onnx')).arrayBuffer());
  if (!besidePeer.includes(name)) return work[name](ours, bytes, options);
  const ort = await import('./ort/ort.wasm.min.mjs');
  ort.env.wasm.wasmPaths = new URL('./ort/', location.href).href;
  return work[name](ours, ort, bytes, options);
};
window.isReady = true;
`;

async function inChromium(name, options) {
  const folder = join(root, 'build/bench-page');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, 'index.html'), page);
  writeFileSync(join(folder, 'page.js'), script);
  symlinkSync(join(root, 'web/dist'), join(folder, 'dist'));
  symlinkSync(join(root, 'tests/bench'), join(folder, 'bench'));
  symlinkSync(join(root, 'node_modules/onnxruntime-web/dist'), join(folder, 'ort'));
  symlinkSync(modelPath, join(folder, 'model.onnx'));
  const server = await serve(folder);
  const browser = await launchChromium();
  try {
    const tab = await browser.newPage();
    tab.on('pageerror', (error) => console.error(`page: ${error.message}`));
    await tab.goto(`${server.address}/`);
    await tab.waitForFunction('window.isReady === true');
    return await tab.evaluate(([what, how]) => globalThis.measure(what, how), [name, options]);
  } finally {
    await browser.close();
    await server.close();
  }
}

/** Runs one function of work.mjs on each host and calls `show` with the host's name and its answer. */
export async function onEachHost(name, options, show) {
  needModel();
  show('Node', await inNode(name, options));
  if (findChrome() === undefined) console.log('| Chromium | not on this machine |');
  else show('Chromium', await inChromium(name, options));
}
