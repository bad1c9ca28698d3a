// Products by 4-bit weights on our engine (blocks of 32) and on LiteRT.js (int4, a scale for each row), with the same codes, turn by turn
// in one page of Chromium, both on its own thread; three launches, each engine's best counts. Needs python3 as litert.bench.mjs does.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '../../scripts/steps.mjs';
import { nLaunches } from './host.mjs';
import { bundleLiteRt, makeTflite } from './litert.mjs';
import * as models from './one-node.mjs';
import { measureInPage, packageLinks } from './page.mjs';

const folder = join(root, 'build/bench-litert');
const block = 32;
const products = [
  { m: 1, n: 2048, k: 2048 },
  { m: 1, n: 4096, k: 4096 },
  { m: 32, n: 2048, k: 2048 },
  { m: 128, n: 1024, k: 1024 },
].map((product) => ({ ...product, block, isByRow: true }));
const fileOf = ({ m, n, k }) => `int4-${m}-${n}-${k}.tflite`;

const script = `
import * as models from './bench/one-node.mjs';
import { median } from './bench/work.mjs';
import { openToolkit, loadModel, createSession } from './dist/index.js';
import { loadLiteRt, loadAndCompile, Tensor } from './files/litert.js';
window.measure = async (products, rounds) => {
  await loadLiteRt(new URL('./wasm/', location.href).href);
  const rows = [];
  for (const { file, ...product } of products) {
    const toolkit = await openToolkit({ threads: 1, runIn: 'caller' });
    const model = await loadModel(toolkit, models.fourBits(product));
    const session = await createSession(model);
    const data = models.activations(product), shape = [product.m, product.k];
    const feeds = { x: { dtype: 'f32', shape, data } };
    const bytes = new Uint8Array(await (await fetch('files/' + file)).arrayBuffer());
    const peer = await loadAndCompile(bytes, { accelerator: 'wasm', numThreads: 1 });
    const input = new Tensor(data, shape);
    let ours, theirs;
    const engines = [
      async () => { ours = (await session.run(feeds, ours && { outputs: { y: ours } })).y.data; },
      async () => {
        const [output] = await peer.run(input);
        theirs = output.toTypedArray().slice();
        output.delete();
      },
    ];
    const times = [[], []];
    for (let round = -40; round < rounds; ++round)
      for (const [i, run] of engines.entries()) {
        const start = performance.now();
        await run();
        if (round >= 0) times[i].push(performance.now() - start);
      }
    let [difference, size] = [0, 0];
    for (let i = 0; i < ours.length; ++i) {
      difference += (ours[i] - theirs[i]) ** 2;
      size += theirs[i] ** 2;
    }
    rows.push({ ms: times.map(median), error: Math.sqrt(difference / size) });
    await toolkit.dispose();
  }
  return rows;
};
`;

mkdirSync(folder, { recursive: true });
const [codes, scales] = [join(folder, 'codes.bin'), join(folder, 'scales.bin')];
for (const product of products) {
  writeFileSync(codes, models.fourBitCodes(product));
  writeFileSync(scales, new Uint8Array(models.rowScales(product).buffer));
  makeTflite('tflite_int4.py', [
    codes,
    scales,
    String(product.m),
    String(product.n),
    String(product.k),
    join(folder, fileOf(product)),
  ]);
}
const wasm = await bundleLiteRt(folder);
const least = products.map(() => [Infinity, Infinity]);
let errors = [];
for (let launch = 0; launch < nLaunches; ++launch) {
  const links = { ...packageLinks, files: folder, wasm };
  const args = [products.map((product) => ({ ...product, file: fileOf(product) })), 31];
  const rows = await measureInPage({ script, links, args });
  rows.forEach(({ ms }, i) => (least[i] = least[i].map((best, engine) => Math.min(best, ms[engine]))));
  errors = rows.map(({ error }) => error);
}
console.log('| m, n, k | ours, ms | LiteRT.js int4, ms | times as fast | relative difference |\n|---|---|---|---|---|');
products.forEach(({ m, n, k }, i) => {
  const [ours, theirs] = least[i];
  console.log(
    `| ${m}, ${n}, ${k} | ${ours.toFixed(3)} | ${theirs.toFixed(3)} | ${(theirs / ours).toFixed(2)} | ${errors[i].toExponential(1)} |`,
  );
});
