// MobileNetV2, quantized by us, on our engine, LiteRT.js and onnxruntime-web, turn by turn in one page of Chromium; three launches,
// each engine's best counts. LiteRT.js gets the same network with the same codes and scales as a .tflite file
// (tests/bench/tflite_from_qdq.py: needs python3 with onnx, numpy, flatbuffers and tflite). The peer is installed on demand below
// build/. BITWRIGHT_BENCH_LAUNCHES=1 is quick.
import { join } from 'node:path';
import { root } from '../../scripts/steps.mjs';
import { bundleLiteRt, makeTflite } from './litert.mjs';
import { modelPath, nLaunches, writeQuantized } from './host.mjs';
import { measureInPage, packageLinks } from './page.mjs';

const folder = join(root, 'build/bench-litert');

await writeQuantized(join(folder, 'quantized.onnx'));
makeTflite('tflite_from_qdq.py', [join(folder, 'quantized.onnx'), join(folder, 'quantized.tflite')]);

const script = `
import { noiseFeeds } from './bench/engine-work.mjs';
import { median, shuffler } from './bench/work.mjs';
import { openToolkit, loadModel, createSession } from './dist/index.js';
import { loadLiteRt, loadAndCompile, Tensor } from './files/litert.js';
const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
const best = (data) => data.indexOf(Math.max(...data));
window.measure = async (rounds) => {
  const ort = await import('./ort/ort.wasm.min.mjs');
  ort.env.wasm.wasmPaths = new URL('./ort/', location.href).href;
  ort.env.wasm.numThreads = 1;
  const quantized = await bytes('files/quantized.onnx');
  const toolkit = await openToolkit({ threads: 1, runIn: 'caller' });
  const model = await loadModel(toolkit, quantized);
  const feeds = noiseFeeds(model.info.inputs, {}, 7);
  const [{ data, shape: [, channels, height, width] }] = Object.values(feeds);
  const engines = {};
  for (const arithmetic of ['fast', 'integer_only'])
    for (const kernels of ['auto', 'simd128']) {
      const session = await createSession(model, { arithmetic, kernels });
      const run = async () => Object.values(await session.run(feeds))[0].data;
      engines[arithmetic + (kernels === 'auto' ? ', ' + session.info.kernels : ', simd128 forced')] = run;
    }
  await loadLiteRt(new URL('./wasm/', location.href).href);
  const peer = await loadAndCompile(await bytes('files/quantized.tflite'), { accelerator: 'wasm', numThreads: 1 });
  const pixels = new Float32Array(data.length);
  for (let c = 0; c < channels; ++c)
    for (let i = 0; i < height * width; ++i) pixels[i * channels + c] = data[c * height * width + i];
  const input = new Tensor(pixels, [1, height, width, channels]);
  engines['LiteRT.js int8'] = async () => {
    const [output] = await peer.run(input);
    const logits = output.toTypedArray().slice();
    output.delete();
    return logits;
  };
  const files = { 'onnxruntime-web int8': quantized, 'onnxruntime-web float': await bytes('model.onnx') };
  for (const [name, file] of Object.entries(files)) {
    const session = await ort.InferenceSession.create(file, { executionProviders: ['wasm'], graphOptimizationLevel: 'all', logSeverityLevel: 4 });
    const given = Object.fromEntries(Object.entries(feeds).map(([key, t]) => [key, new ort.Tensor('float32', t.data, t.shape)]));
    engines[name] = async () => Object.values(await session.run(given))[0].data;
  }
  const answers = {};
  for (const [name, run] of Object.entries(engines)) answers[name] = await run();
  const [first] = Object.values(answers);
  const same = {};
  for (const [name, logits] of Object.entries(answers)) {
    let [ab, aa, bb] = [0, 0, 0];
    for (let i = 0; i < first.length; ++i) {
      ab += first[i] * logits[i];
      aa += first[i] * first[i];
      bb += logits[i] * logits[i];
    }
    same[name] = { cosine: ab / Math.sqrt(aa * bb), top1: best(first) === best(logits) };
  }
  const times = Object.fromEntries(Object.keys(engines).map((name) => [name, []]));
  const shuffled = shuffler();
  for (let round = -8; round < rounds; ++round) {
    for (const [name, run] of shuffled(Object.entries(engines))) {
      const start = performance.now();
      await run();
      if (round >= 0) times[name].push(performance.now() - start);
    }
  }
  await toolkit.dispose();
  return Object.entries(times).map(([name, all]) => ({ name, ms: median(all), ...same[name] }));
};
`;

const wasm = await bundleLiteRt(folder);
const least = new Map();
for (let launch = 0; launch < nLaunches; ++launch) {
  const links = { ...packageLinks, files: folder, wasm, 'model.onnx': modelPath };
  for (const row of await measureInPage({ script, links, args: [21] }))
    if (!(least.get(row.name)?.ms <= row.ms)) least.set(row.name, row);
}
const peer = least.get('LiteRT.js int8')?.ms ?? NaN;
console.log('| engine | ms | LiteRT.js int8 / this | cosine of its logits with ours | same top-1 |\n|---|---|---|---|---|');
for (const { name, ms, cosine, top1 } of least.values())
  console.log(`| ${name} | ${ms.toFixed(2)} | ${(peer / ms).toFixed(2)} | ${cosine.toFixed(4)} | ${top1 ? 'yes' : 'no'} |`);
