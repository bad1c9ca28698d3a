// From nothing loaded to the first result of MobileNetV2 in int8: a page of Chromium of its own for each, files from this machine,
// onnxruntime-web beside us, both bundled; median of five. Goal: 60 ms.
import { symlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { writeQuantized } from './host.mjs';
import { measureInPage, packageLinks } from './page.mjs';
import { root } from '../../scripts/steps.mjs';
import { median } from './work.mjs';

const folder = join(root, 'build/bench-cold');
await writeQuantized(join(folder, 'quantized.onnx'));
// As a page's bundler leaves it: a file for the page, one for its worker, what both need, the modules beside them.
const dist = join(root, 'web/dist');
const bundle = join(folder, 'bundle');
rmSync(bundle, { recursive: true, force: true });
const entryPoints = ['index.js', 'browser-worker.js'].map((name) => join(dist, name));
await build({ entryPoints, outdir: bundle, bundle: true, splitting: true, minify: true, format: 'esm', logLevel: 'error' });
symlinkSync(join(dist, 'wasm'), join(bundle, 'wasm'));

const script = `
window.measure = async (name) => {
  const data = new Float32Array(3 * 224 * 224).fill(0.1), shape = [1, 3, 224, 224];
  const start = performance.now();
  const isOurs = name.startsWith('ours');
  const engine = import(isOurs ? './files/bundle/index.js' : './ort/ort.wasm.min.mjs');
  const bytes = fetch('files/quantized.onnx').then((answer) => answer.arrayBuffer());
  if (isOurs) {
    const { openToolkit, loadModel, createSession } = await engine;
    const toolkit = await openToolkit({ threads: 1, runIn: name.endsWith('worker') ? 'worker' : 'caller' });
    const opened = performance.now() - start;
    const model = await loadModel(toolkit, new Uint8Array(await bytes), { transfer: true });
    const loaded = performance.now() - start;
    const session = await createSession(model);
    await session.run({ input: { dtype: 'f32', shape, data } });
    return [performance.now() - start, opened, loaded];
  }
  const ort = await engine;
  ort.env.wasm.wasmPaths = new URL('./ort/', location.href).href;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(await bytes, { executionProviders: ['wasm'] });
  await session.run({ input: new ort.Tensor('float32', data, shape) });
  return [performance.now() - start];
};
`;

const times = { 'ours, in a worker': [], 'ours, on the calling thread': [], 'onnxruntime-web': [] };
for (let round = 0; round < 5; ++round)
  for (const [name, all] of Object.entries(times))
    all.push(await measureInPage({ script, links: { ...packageLinks, files: folder }, args: [name] }));
console.log(
  '| engine | to the first result, ms | of these, until the engine is open | until the model is loaded |\n|---|---|---|---|',
);
for (const [name, all] of Object.entries(times)) {
  const [whole, opened, loaded] = [0, 1, 2].map((i) => median(all.map((row) => row[i])));
  const text = (ms) => (ms === undefined ? '-' : ms.toFixed(0));
  console.log(`| ${name} | ${text(whole)} | ${text(opened)} | ${text(loaded)} |`);
}
