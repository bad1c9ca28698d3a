// Where the timed work runs: this Node, or a page of Chromium that imports the same files.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findChrome } from '../../scripts/chromium.mjs';
import { Failure, root } from '../../scripts/steps.mjs';
import { noiseFeeds } from './engine-work.mjs';
import { measureInPage, packageLinks } from './page.mjs';
import * as products from './products.mjs';
import * as timed from './work.mjs';

const work = { ...timed, ...products };
const besidePeer = new Set(['floatRuns', 'productRuns']);

const shared = process.env.BITWRIGHT_SHARED ?? join(root, '../shared');
export const modelPath = join(shared, 'models/classification/mobilenet_v2_1.0_224.onnx');

/** An engine's best launch counts; BITWRIGHT_BENCH_LAUNCHES=1 is quick. */
export const nLaunches = Number(process.env.BITWRIGHT_BENCH_LAUNCHES ?? 3);

export function needModel() {
  if (!existsSync(modelPath))
    throw new Failure(`The model ${modelPath} is not there: name the folder of shared models in BITWRIGHT_SHARED.`);
}

export const loadPackage = () => import(pathToFileURL(join(root, 'web/dist/node.js')).href);

/** Writes MobileNetV2 in static int8, with ranges of seeded noise: which they are does not matter for time. */
export async function writeQuantized(path) {
  needModel();
  const { openToolkit, loadModel, quantize } = await loadPackage();
  const toolkit = await openToolkit();
  const model = await loadModel(toolkit, modelPath);
  const calibration = Array.from({ length: 4 }, (_, i) => ({ feeds: noiseFeeds(model.info.inputs, {}, i + 1) }));
  const result = await quantize(model, { recipe: 'w8a8', calibration, evaluation: false, measureWeights: false });
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, result.bytes);
  result.dispose();
  model.dispose();
  await toolkit.dispose();
}

async function inNode(name, options, path) {
  const bytes = new Uint8Array(readFileSync(path));
  const ours = await loadPackage();
  if (!besidePeer.has(name)) return work[name](ours, bytes, options);
  return work[name](ours, await import('onnxruntime-web'), bytes, options);
}

const script = `
import * as products from './bench/products.mjs';
import * as timed from './bench/work.mjs';
import * as ours from './dist/index.js';
const work = { ...timed, ...products };
const besidePeer = ${JSON.stringify([...besidePeer])};
window.measure = async (name, options) => {
  const bytes = new Uint8Array(await (await fetch('model.onnx')).arrayBuffer());
  if (name === 'threadRuns') {
    const worker = new Worker('./bench/thread-worker.mjs', { type: 'module' });
    return new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => resolve(data);
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage([bytes, options]);
    });
  }
  if (!besidePeer.includes(name)) return work[name](ours, bytes, options);
  const ort = await import('./ort/ort.wasm.min.mjs');
  ort.env.wasm.wasmPaths = new URL('./ort/', location.href).href;
  return work[name](ours, ort, bytes, options);
};
`;

const inChromium = (name, options, path) =>
  measureInPage({ script, links: { ...packageLinks, 'model.onnx': path }, args: [name, options] });

/** Runs one function of work.mjs on each host with the bytes of a file and calls `show` with the host's name and its answer. */
export async function onEachHost(name, options, show, path = modelPath) {
  needModel();
  show('Node', await inNode(name, options, path));
  if (findChrome() === undefined) console.log('| Chromium | not on this machine |');
  else show('Chromium', await inChromium(name, options, path));
}
