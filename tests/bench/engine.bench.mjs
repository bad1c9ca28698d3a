// Whole models, quantized by us (static int8), on our engine and on onnxruntime-web: int8 on the same file, and float on the file
// they come from. One thread, turn by turn in one process or page; every host is launched three times, and an engine's best launch
// counts. Times in Node are those of the processor, in Chromium of the clock. BITWRIGHT_BENCH_ROWS=a,b takes these rows alone,
// BITWRIGHT_BENCH_LAUNCHES=1 is quick, BITWRIGHT_BENCH_HOSTS=node leaves Chromium out.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findChrome } from '../../scripts/chromium.mjs';
import { Failure, root } from '../../scripts/steps.mjs';
import { engineRuns } from './engine-work.mjs';
import { nLaunches } from './host.mjs';
import { measureInPage, packageLinks } from './page.mjs';

const shared = process.env.BITWRIGHT_SHARED ?? join(root, '../shared');
const folder = join(root, 'build/bench-engine');
const node24 = join(root, 'node_modules/node/bin/node');

/** `shapes`: of inputs whose extents are not fixed. */
const rows = [
  { name: 'MobileNetV2', model: 'classification/mobilenet_v2_1.0_224.onnx', rounds: 15 },
  { name: 'SqueezeNet 1.1', model: 'classification/squeezenet1_1.onnx', rounds: 11 },
  { name: 'ResNet-8', model: 'classification/mlperf_resnet8_cifar10.onnx', rounds: 31 },
  { name: 'DS-CNN', model: 'audio/mlperf_kws_dscnn.onnx', rounds: 31 },
  { name: 'UltraFace', model: 'detection/ultraface_rfb_320.onnx', rounds: 11 },
  { name: 'FastestDet', model: 'detection/fastestdet.onnx', rounds: 11 },
  { name: 'PP-OCR cls', model: 'ocr/ppocr_mobile_v2.0_cls.onnx', shapes: { x: [1, 3, 48, 192] }, rounds: 15 },
  { name: 'DeepLab', model: 'segmentation/deeplabv3_mnv2_pascal_513.onnx', rounds: 5 },
  { name: 'Silero VAD', model: 'audio/silero_vad_16k_op15.onnx', shapes: { input: [1, 512] }, rounds: 31 },
  { name: 'openWakeWord', model: 'audio/oww_embedding.onnx', shapes: { input_1: [1, 76, 32, 1] }, rounds: 15 },
  { name: 'stories260K', model: 'text/stories260K.onnx', shapes: { input_ids: [1, 64] }, rounds: 11 },
];

const packageUrl = pathToFileURL(join(root, 'web/dist/node.js')).href;
const slug = (row) => row.name.toLowerCase().replace(/[^a-z0-9]+/g, '-');
const quantizedPath = (row) => join(folder, `${slug(row)}.onnx`);

/** Static int8 with ranges of seeded noise: which ranges they are does not matter for time. */
async function quantizeRows(wanted) {
  const { openToolkit, loadModel, quantize } = await import(packageUrl);
  const { noiseFeeds } = await import('./engine-work.mjs');
  mkdirSync(folder, { recursive: true });
  const toolkit = await openToolkit();
  for (const row of wanted) {
    const source = join(shared, 'models', row.model);
    if (!existsSync(source)) throw new Failure(`${source} is not there: name the folder of shared models in BITWRIGHT_SHARED.`);
    const model = await loadModel(toolkit, source);
    const calibration = Array.from({ length: 4 }, (_, i) => ({ feeds: noiseFeeds(model.info.inputs, row.shapes ?? {}, i + 1) }));
    const result = await quantize(model, { recipe: 'w8a8', calibration, evaluation: false, measureWeights: false });
    writeFileSync(quantizedPath(row), result.bytes);
    result.dispose();
    model.dispose();
  }
  await toolkit.dispose();
}

/** One launch of Node: this file again, with the row's number. */
function inNode(row) {
  const program = existsSync(node24) ? node24 : process.execPath;
  const text = execFileSync(program, [new URL(import.meta.url).pathname, '--row', row.name], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(text.slice(text.lastIndexOf('\n{')));
}

async function rowInThisNode(row) {
  const ours = await import(packageUrl);
  const ort = await import('onnxruntime-web');
  const files = {
    quantized: new Uint8Array(readFileSync(quantizedPath(row))),
    float: new Uint8Array(readFileSync(join(shared, 'models', row.model))),
  };
  process.stdout.write(`\n${JSON.stringify(await engineRuns(ours, ort, files, row))}`);
}

const script = `
import { engineRuns } from './bench/engine-work.mjs';
import * as ours from './dist/index.js';
const bytes = async (name) => new Uint8Array(await (await fetch(name)).arrayBuffer());
window.measure = async (row, quantized, float) => {
  const ort = await import('./ort/ort.wasm.min.mjs');
  ort.env.wasm.wasmPaths = new URL('./ort/', location.href).href;
  return engineRuns(ours, ort, { quantized: await bytes(quantized), float: await bytes(float) }, row);
};
`;

const inChromium = (row) =>
  measureInPage({
    script,
    links: { ...packageLinks, quantized: folder, models: join(shared, 'models') },
    args: [row, `quantized/${slug(row)}.onnx`, `models/${row.model}`],
  });

function best(launches) {
  const least = {};
  for (const launch of launches)
    for (const [engine, ms] of Object.entries(launch.mediansMs)) least[engine] = Math.min(ms, least[engine] ?? Infinity);
  return { ...launches[0], mediansMs: least };
}

const text = (ms) => (ms === undefined || !Number.isFinite(ms) ? '-' : ms < 10 ? ms.toFixed(2) : ms.toFixed(1));

async function all() {
  const named = process.env.BITWRIGHT_BENCH_ROWS?.split(',');
  const wanted = rows.filter((row) => named === undefined || named.includes(row.name));
  await quantizeRows(wanted);
  console.log(
    '| model | host | ours fast, ms | integer_only | onnxruntime-web int8 | its float | int8 / ours | float / ours | codes |',
  );
  console.log('|---|---|---|---|---|---|---|---|---|');
  const hosts = [['Node 24', inNode]];
  if (findChrome() !== undefined && process.env.BITWRIGHT_BENCH_HOSTS !== 'node') hosts.push(['Chromium', inChromium]);
  for (const row of wanted)
    for (const [host, measure] of hosts) {
      const launches = [];
      for (let i = 0; i < nLaunches; ++i) launches.push(await measure(row));
      const { mediansMs: m, integerShare, failures } = best(launches);
      for (const [engine, failure] of Object.entries(failures)) console.error(`${row.name}, ${engine}: ${failure}`);
      console.log(
        `| ${row.name} | ${host} | ${text(m.fast)} | ${text(m.integer_only)} | ${text(m.ortInt8)} | ${text(m.ortFloat)} | ` +
          `${text(m.ortInt8 / m.fast)} | ${text(m.ortFloat / m.fast)} | ${(100 * integerShare).toFixed(0)} % |`,
      );
    }
}

if (process.argv[2] === '--row') await rowInThisNode(rows.find((row) => row.name === process.argv[3]));
else await all();
