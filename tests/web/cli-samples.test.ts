import assert from 'node:assert/strict';
import { copyFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeNpy, type Comparison, type Report, type Tensor, type TensorRow } from '../../web/src/node.js';
import { bytesField, integer, joined } from '../support/wire.js';
import { at, cli, fails, file, images, labelled, pictures } from './support/cli.js';
import { exampleFolder, examplePath } from './support/example.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { speech } from './support/shared-inputs.js';
import { smallModel } from './support/small-model.js';
import { zipFile } from './support/zip-file.js';

const f32 = (shape: readonly number[], data: readonly number[] | Float32Array): Tensor => ({
  dtype: 'f32',
  shape,
  data: Float32Array.from(data),
});
const npz = (arrays: Readonly<Record<string, Tensor>>): Uint8Array =>
  zipFile(Object.entries(arrays).map(([name, tensor]) => ({ name: `${name}.npy`, content: writeNpy(tensor) })));
/** A TensorProto made field by field. */
const pb = (name: string, { shape, data }: Tensor): Uint8Array =>
  joined([
    ...shape.map((extent) => integer(1, extent)),
    integer(2, 1),
    bytesField(8, name),
    bytesField(9, new Uint8Array(data.buffer)),
  ]);

/** next = state + x, y = next x w: what is quantized of `next` tells how far the state came. */
const counterPath = (): string =>
  file(
    'counter.onnx',
    smallModel({
      opset: 17,
      inputs: { x: [1, 64], state: [1, 64] },
      outputs: ['y', 'next'],
      constants: { w: { shape: [64, 64], data: Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i)) } },
      nodes: [
        { op: 'Add', inputs: ['x', 'state'], outputs: ['next'] },
        { op: 'MatMul', inputs: ['next', 'w'], outputs: ['y'] },
      ],
    }),
  );

async function reportOf(words: readonly string[]): Promise<Report> {
  const ended = await cli([...words, '--json']);
  assert.equal(ended.status, 0, ended.stderr);
  return JSON.parse(ended.stdout) as Report;
}

const rowOf = ({ tensors }: Report, name: string): TensorRow =>
  tensors.find((row) => row.tensor === name) ?? assert.fail(`${name} has no row`);

const ones = f32([1, 64], new Float32Array(64).fill(1));
const zeros = f32([1, 64], new Float32Array(64));

void test('--feedback carries state from sample to sample, and wrong names leave no output', async () => {
  const model = counterPath();
  for (const i of [0, 1, 2]) {
    mkdirSync(at('steps'), { recursive: true });
    file(`steps/${i}.npz`, npz({ x: ones, state: zeros }));
  }
  const words = ['quantize', model, '-o', 'counter_q.onnx', '--force', '--allow-larger', '--calibrate', 'steps'];
  const carried = await reportOf([...words, '--feedback', 'next=state']);
  assert.deepEqual(carried.calibration?.samples, 3);
  assert.ok(Math.abs(rowOf(carried, 'next').rmax - 3) < 0.02, String(rowOf(carried, 'next').rmax));
  assert.ok(Math.abs(rowOf(await reportOf(words), 'next').rmax - 1) < 0.01);
  const bad = words.map((word) => (word === 'counter_q.onnx' ? 'bad.onnx' : word));
  for (const [pair, finding] of [
    ['nothing=state', /the model has no output 'nothing'/],
    ['next=nothing', /the model has no input 'nothing'/],
  ] as const)
    assert.match(await fails([...bad, '--feedback', pair], 2, 'invalid_argument', 'bad.onnx'), finding);
  for (const pair of ['next', 'a=b=c']) await fails([...bad, '--feedback', pair], 2, 'usage', 'bad.onnx');
});

const silero = 'models/audio/silero_vad_16k_op15.onnx';
const whyNotSilero = whyNotShared(silero, 'data/audio/silero_test.wav');
void test('Silero is quantized and compared on frames of speech with its state carried', { skip: whyNotSilero }, async () => {
  const wave = speech();
  mkdirSync(at('speech'), { recursive: true });
  for (let i = 0; i < 12; ++i) {
    const input = f32([1, 576], wave.slice(16000 + i * 512, 16000 + i * 512 + 576));
    const sr: Tensor = { dtype: 'i64', shape: [], data: BigInt64Array.of(16000n) };
    const first = { state: f32([2, 1, 128], new Float32Array(256)) };
    file(`speech/${String(i).padStart(2, '0')}.npz`, npz({ input, sr, ...(i === 0 && first) }));
  }
  const words = ['quantize', sharedPath(silero), '--calibrate', 'speech'];
  const { comparison } = await reportOf([...words, '-o', 'silero.onnx', '--feedback', 'stateN=state']);
  assert.equal(comparison?.samples, 12);
  assert.ok((comparison.outputs.find(({ value }) => value === 'output')?.sqnr.sqnrDb ?? 0) > 10);
  // Only the first frame has a state of its own: without feedback the second cannot run.
  assert.match(await fails([...words, '-o', 'stateless.onnx'], 2, 'invalid_argument', 'stateless.onnx'), /'state' is missing/);
  const compared = await cli([
    'compare',
    sharedPath(silero),
    'silero.onnx',
    '--calibrate',
    'speech',
    '--feedback',
    'stateN=state',
    '--json',
  ]);
  assert.equal(compared.status, 0, compared.stderr);
  assert.deepEqual((JSON.parse(compared.stdout) as Comparison).outputs, comparison.outputs);
});

void test('.npy, .npz, .pb and test_data_set folders with the same numbers give the same file', async () => {
  const model = counterPath();
  const rows = [0, 1, 2].map((i) =>
    f32(
      [1, 64],
      Array.from({ length: 64 }, (_, k) => Math.cos(k * (i + 1))),
    ),
  );
  const state = f32([1, 64], new Float32Array(64).fill(0.5));
  for (const [i, x] of rows.entries()) {
    for (const folder of [`proto/test_data_set_${i}`, `named/test_data_set_${i}`, 'apart'])
      mkdirSync(at(folder), { recursive: true });
    // Without names that are known, the inputs follow their order.
    file(`proto/test_data_set_${i}/input_0.pb`, pb('', x));
    file(`proto/test_data_set_${i}/input_1.pb`, pb('', state));
    file(`proto/test_data_set_${i}/output_0.pb`, 'not read');
    file(`named/test_data_set_${i}/input_0.pb`, pb('state', state));
    file(`named/test_data_set_${i}/input_1.pb`, pb('x', x));
    file(`apart/${i}.npz`, npz({ x, state }));
  }
  const all = f32(
    [3, 64],
    rows.flatMap((row) => Array.from(row.data as Float32Array)),
  );
  file('all.npz', npz({ x: all, state }));
  const made: Buffer[] = [];
  for (const path of ['proto', 'named', 'apart', 'all.npz']) {
    const report = await reportOf(['quantize', model, '-o', `${path}.onnx`, '--allow-larger', '--calibrate', path]);
    assert.equal(report.comparison?.samples, 3, path);
    made.push(readFileSync(at(`${path}.onnx`)));
  }
  for (const bytes of made) assert.ok(bytes.equals(made[0] as Buffer));

  const image = f32(
    [1, 3, 64, 64],
    Float32Array.from({ length: 3 * 4096 }, (_, i) => Math.sin(i)),
  );
  file('image.pb', pb('', image));
  file('image.npy', writeNpy(image));
  for (const name of ['image.pb', 'image.npy'])
    await reportOf(['quantize', examplePath, '-o', `of_${name}.onnx`, '--calibrate', name]);
  assert.ok(readFileSync(at('of_image.pb.onnx')).equals(readFileSync(at('of_image.npy.onnx'))));
});

void test('a broken .pb and an array that is no input are told with the name of their file', async () => {
  const model = counterPath();
  file('broken.pb', 'this is no TensorProto');
  const words = ['quantize', model, '-o', 'none.onnx', '--calibrate'];
  assert.match(await fails([...words, 'broken.pb'], 1, 'bad_data', 'none.onnx'), /broken\.pb: /);
  file('odd.npz', npz({ x: ones, states: zeros }));
  assert.match(await fails([...words, 'odd.npz'], 1, 'bad_data', 'none.onnx'), /odd\.npz: 'states' is not an input/);
  file('notes.txt', 'hello');
  assert.match(await fails([...words, 'notes.txt'], 1, 'bad_data', 'none.onnx'), /notes\.txt: not a JPEG or PNG picture/);
});

void test('--label-offset is added to every label', async () => {
  const [, evaluation = '', , labels = ''] = labelled;
  const lines = readFileSync(labels, 'utf8').trim().split('\n').slice(1);
  const fewer = lines.map((line) => line.replace(/,(\d+)/, (_, label) => `,${Number(label) - 1}`));
  file('fewer.csv', ['file,class_index', ...fewer].join('\n'));
  const words = ['quantize', examplePath, '--mode', 'weight_only', '--evaluate', evaluation, ...pictures, '--calibrate', images];
  const accuracyOf = async (name: string, more: readonly string[]): Promise<number | undefined> =>
    (await reportOf([...words, '-o', name, ...more])).comparison?.accuracy?.reference.count;
  assert.equal(await accuracyOf('l0.onnx', ['--labels', labels]), 87);
  assert.equal(await accuracyOf('l1.onnx', ['--labels', 'fewer.csv', '--label-offset', '1']), 87);
  assert.ok(((await accuracyOf('l2.onnx', ['--labels', 'fewer.csv'])) ?? 96) < 20);
});

void test('pictures that only browsers decode are counted and left out, or refused by name', async () => {
  mkdirSync(at('mixed'), { recursive: true });
  mkdirSync(at('webp'), { recursive: true });
  for (const name of ['000.png', '003.png']) copyFileSync(join(exampleFolder, 'eval', name), at(`mixed/${name}`));
  for (const name of ['mixed/a.webp', 'mixed/b.BMP', 'webp/a.webp']) file(name, 'RIFFxxxxWEBP');
  const words = ['quantize', examplePath, ...pictures, '-o'];
  const ended = await cli([...words, 'mixed.onnx', '--calibrate', 'mixed', '--json']);
  assert.equal(ended.status, 0, ended.stderr);
  const told = 'left out 2 pictures that only browsers decode (a.webp ...): convert to JPEG or PNG';
  assert.ok((JSON.parse(ended.stdout) as Report).warnings.includes(told));
  assert.ok(ended.stderr.includes(`warning: ${told}`));
  for (const path of ['webp/a.webp', 'webp'])
    assert.match(
      await fails([...words, 'none.onnx', '--calibrate', path], 1, 'bad_data', 'none.onnx'),
      /webp.*only browsers decode/,
    );
  const run = await cli(['run', examplePath, '--input', 'image=webp/a.webp']);
  assert.equal(run.status, 1);
  assert.match(run.stderr, /a\.webp/);
});

/** An operator that draws numbers does not run here. */
const strangePath = (): string =>
  file(
    'strange.onnx',
    smallModel({
      opset: 17,
      inputs: { x: [1, 64] },
      outputs: ['y'],
      constants: Object.fromEntries(
        [1, 2].map((n) => [`w${n}`, { shape: [64, 64], data: Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i * n)) }]),
      ),
      nodes: [
        { op: 'MatMul', inputs: ['x', 'w1'], outputs: ['h'] },
        { op: 'RandomUniformLike', inputs: ['h'], outputs: ['r'], attributes: { low: { float: 0 }, high: { float: 1e-6 } } },
        { op: 'Add', inputs: ['h', 'r'], outputs: ['a'] },
        { op: 'MatMul', inputs: ['a', 'w2'], outputs: ['y'] },
      ],
    }),
  );

void test('--runner onnxruntime calibrates what does not run here, and says that nothing was measured', async () => {
  const model = strangePath();
  mkdirSync(at('waves'), { recursive: true });
  for (const i of [1, 2, 3])
    file(
      `waves/${i}.npy`,
      writeNpy(
        f32(
          [1, 64],
          Array.from({ length: 64 }, (_, k) => Math.cos(k * i)),
        ),
      ),
    );
  const words = ['quantize', model, '--calibrate', 'waves', '-o'];
  assert.match(await fails([...words, 'none.onnx'], 5, 'unsupported', 'none.onnx'), /RandomUniformLike/);
  const report = await reportOf([...words, 'strange_q.onnx', '--runner', 'onnxruntime']);
  assert.equal(report.calibration?.samples, 3);
  assert.equal(report.comparison, null);
  assert.ok(
    report.warnings.some((text) => /^nothing was measured, our engine cannot run the model: .*RandomUniformLike/.test(text)),
    report.warnings.join('\n'),
  );
  // The largest of sum_k cos(k i) sin(64 k + j), by hand over the three samples.
  let most = 0;
  for (const i of [1, 2, 3])
    for (let j = 0; j < 64; ++j) {
      let sum = 0;
      for (let k = 0; k < 64; ++k) sum += Math.fround(Math.cos(k * i)) * Math.fround(Math.sin(k * 64 + j));
      most = Math.max(most, sum);
    }
  const row = rowOf(report, 'a');
  assert.ok(Math.abs(row.rmax - most) <= 2 * row.scale, `${row.rmax} and ${most}`);
  assert.deepEqual(
    report.nodes
      .filter(({ isQuantized }) => isQuantized)
      .map(({ opType }) => opType)
      .filter((type) => type === 'MatMul'),
    ['MatMul', 'MatMul'],
  );
  await fails([...words, 'none.onnx', '--runner', 'tensorflow'], 2, 'usage', 'none.onnx');
  await fails(
    ['quantize', model, '--mode', 'weight_only', '-o', 'none.onnx', '--runner', 'onnxruntime'],
    2,
    'usage',
    'none.onnx',
  );
  assert.match((await cli(['quantize', '--help'])).stdout, /--runner NAME +onnxruntime: calibrate on onnxruntime-node or -web/);
});

void test('--runner takes pictures too: they are prepared as for our engine', async () => {
  const words = ['quantize', examplePath, '--calibrate', images, '--limit', '4', ...pictures, '-o'];
  const theirs = await reportOf([...words, 'theirs.onnx', '--runner', 'onnxruntime']);
  const ours = await reportOf([...words, 'ours.onnx']);
  const rows = ours.tensors.filter((row) => row.role === 'activation');
  assert.ok(rows.length > 10);
  for (const { tensor, scale } of rows) assert.ok(Math.abs(rowOf(theirs, tensor).scale - scale) <= 1e-4 * scale, tensor);
});

void test('where the runner is not installed, one line says what to install', async () => {
  const words = ['quantize', examplePath, '--calibrate', images, ...pictures, '-o', 'none.onnx', '--runner', 'onnxruntime'];
  // A loader hook that knows no onnxruntime, as on a machine without it.
  const hooks = `export async function resolve(name, context, next) {
    if (!name.startsWith('onnxruntime')) return next(name, context);
    throw Object.assign(new Error('Cannot find package ' + name), { code: 'ERR_MODULE_NOT_FOUND' });
  }`;
  const register = `import { register, Module } from 'node:module';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hooks)}));
    const known = Module._resolveFilename;
    Module._resolveFilename = function (name, ...rest) {
      if (!name.startsWith('onnxruntime')) return known.call(this, name, ...rest);
      throw Object.assign(new Error('Cannot find module ' + name), { code: 'MODULE_NOT_FOUND' });
    };`;
  const ended = await cli(words, { env: { NODE_OPTIONS: `--import ${file('hooks.mjs', register)}` } });
  assert.equal(ended.status, 5, ended.stderr);
  assert.match(
    ended.stderr,
    /bitwright: unsupported: onnxruntime-node or onnxruntime-web is not installed here: npm install onnxruntime-node\n/,
  );
  assert.equal(existsSync(at('none.onnx')), false);
});

void test('what will be slow on the target is said before the file is written', async () => {
  const ended = await cli(['quantize', examplePath, '--mode', 'weight_only', '-o', 'slow.onnx']);
  assert.equal(ended.status, 0, ended.stderr);
  const noted = ended.stderr.indexOf('warning: download saving only: weights of');
  assert.ok(noted >= 0 && noted < ended.stderr.indexOf('write: '), ended.stderr);
});
