import assert from 'node:assert/strict';
import { closeSync, existsSync, ftruncateSync, linkSync, openSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { test } from 'node:test';
import { at, cli, fails, file, quick } from './support/cli.js';
import { examplePath } from './support/example.js';
import { bytesField, integer, joined } from '../support/wire.js';
import { initializerField, modelFile, nodeField, onnxTypes, valueInfo } from './support/onnx-file.js';

const weightOnly = ['--mode', 'weight_only'];
const half = ['--mode', 'float16', '--allow-larger'];

/** `in.onnx`, whose weights lie in `q.onnx_data`. */
async function splitModel(): Promise<Buffer> {
  const made = await cli(['quantize', examplePath, '-o', 'q.onnx', ...weightOnly, '--external-data', '--force', '-q']);
  assert.equal(made.status, 0, made.stderr);
  renameSync(at('q.onnx'), at('in.onnx'));
  return readFileSync(at('q.onnx_data'));
}

void test("no output takes the place of the input's external data, under whatever name, with --force neither", async () => {
  const data = await splitModel();
  for (const verb of [
    ['quantize', 'in.onnx', ...half],
    ['convert', 'in.onnx', '--format', 'qoperator'],
    ['dequantize', 'in.onnx'],
  ]) {
    const split = [...verb, '--force', '-o', 'q.onnx', '--external-data'];
    assert.match(await fails(split, 2, 'usage', 'q.onnx'), /'q\.onnx_data' is the input's external data/);
    const whole = [...verb, '--force', '-o', './q.onnx_data'];
    assert.match(await fails(whole, 2, 'usage'), /'\.\/q\.onnx_data' is the input's external data/);
  }
  symlinkSync(at('q.onnx_data'), at('link'));
  for (const name of ['q.onnx_data', 'link'])
    await fails(['quantize', 'in.onnx', ...half, '-o', 'out.onnx', '--report', name, '--force'], 2, 'usage', 'out.onnx');
  assert.deepEqual(readFileSync(at('q.onnx_data')), data);
  // What is not written there is no danger.
  assert.equal((await cli(['quantize', 'in.onnx', ...half, '-o', 'q.onnx', '-q'])).status, 0);
  assert.deepEqual(readFileSync(at('q.onnx_data')), data);
});

void test('external data found through --external-root is an input too', async () => {
  const data = await splitModel();
  linkSync(at('q.onnx_data'), at('second_data'));
  const words = ['quantize', 'in.onnx', '--external-root', '.', ...half, '--external-data', '--force', '-o', 'second'];
  assert.match(await fails(words, 2, 'usage', 'second'), /is the input's external data/);
  assert.deepEqual(readFileSync(at('q.onnx_data')), data);
});

void test('outputs are checked against each other, there or not', async () => {
  const words = ['quantize', examplePath, ...weightOnly];
  for (const report of ['twice.onnx', './twice.onnx'])
    assert.match(await fails([...words, '-o', 'twice.onnx', '--report', report], 2, 'usage', 'twice.onnx'), /two outputs/);
  await fails([...words, '-o', 'twice.onnx', '--external-data', '--report', 'twice.onnx_data'], 2, 'usage', 'twice.onnx');
  assert.equal(existsSync(at('twice.onnx_data')), false);
});

/** A weight of more than 2 GiB, outside of the file, that stays as it is, and a small one that becomes codes. */
function hugeModel(location: string, bytes: number): Uint8Array {
  const n = bytes / 4;
  const pair = (key: string, value: string): Uint8Array => bytesField(13, joined([bytesField(1, key), bytesField(2, value)]));
  const huge = joined([
    integer(1, n),
    integer(2, onnxTypes.f32),
    bytesField(8, 'huge'),
    pair('location', location),
    integer(14, 1),
  ]);
  return modelFile([
    nodeField({ op: 'MatMul', inputs: ['x', 'w'], outputs: ['h'] }),
    nodeField({ op: 'Gather', inputs: ['huge', 'i'], outputs: ['g'] }),
    nodeField({ op: 'Add', inputs: ['h', 'g'], outputs: ['y'] }),
    bytesField(5, huge),
    initializerField(
      'w',
      'f32',
      [64, 64],
      Float32Array.from({ length: 4096 }, (_, i) => Math.sin(i)),
    ),
    bytesField(11, valueInfo('x', [1, 64])),
    bytesField(11, valueInfo('i', [64], 'i64')),
    bytesField(12, valueInfo('y', [1, 64])),
  ]);
}

void test('above 2 GiB the file that was not asked for is checked before anything is written', async () => {
  const bytes = 2 ** 31 + 4096;
  const descriptor = openSync(at('huge.onnx_data'), 'w');
  ftruncateSync(descriptor, bytes); // a hole: it takes no room
  closeSync(descriptor);
  file('huge-in.onnx', hugeModel('huge.onnx_data', bytes));
  const words = ['quantize', 'huge-in.onnx', ...weightOnly, '--include', 'op:MatMul'];
  assert.match(await fails([...words, '-o', 'huge.onnx', '--force'], 2, 'usage', 'huge.onnx'), /is the input's external data/);
  file('other.onnx_data', 'mine');
  assert.match(await fails([...words, '-o', 'other.onnx'], 2, 'usage', 'other.onnx'), /'other\.onnx_data' exists; add --force/);
  assert.equal(readFileSync(at('other.onnx_data'), 'utf8'), 'mine');
});

void test('an existing file of external data stays without --force', async () => {
  file('kept.onnx_data', 'mine');
  const words = ['quantize', examplePath, '-o', 'kept.onnx', ...quick, '--external-data'];
  assert.match(await fails(words, 2, 'usage', 'kept.onnx'), /'kept\.onnx_data' exists/);
  assert.equal(readFileSync(at('kept.onnx_data'), 'utf8'), 'mine');
});
