import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { inspect, loadModel, type ByteInput } from '../../web/src/node.js';
import { exampleBytes, examplePath, loadExample } from './support/example.js';
import { withToolkit } from './support/toolkit.js';

void test('a model is read alike from bytes, an ArrayBuffer, a Blob, a path and a reader', async () => {
  const bytes = exampleBytes();
  const inputs: ByteInput[] = [
    bytes,
    bytes.slice().buffer,
    new Blob([bytes.slice()]),
    examplePath,
    { sizeBytes: bytes.length, read: (offset, target) => target.set(bytes.subarray(offset, offset + target.length)) },
  ];
  await withToolkit(async (toolkit) => {
    for (const input of inputs) {
      const model = await loadModel(toolkit, input, { name: 'model.onnx' });
      assert.deepEqual(
        [model.info.fileName, model.info.bytes, model.info.nodes, model.info.opset],
        ['model.onnx', bytes.length, 65, 17],
      );
      assert.equal(model.info.notRunnable, '');
      model.dispose();
    }
  });
});

void test('inspect tells inputs, outputs, operators and tensors', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const info = await inspect(model);
    assert.deepEqual(
      info.inputs.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
      [{ name: 'image', dtype: 'f32', shape: [-1, 3, 64, 64] }],
    );
    assert.deepEqual(
      info.outputs.map(({ name }) => name),
      ['logits'],
    );
    const count = (opType: string) => info.operators.find((row) => row.opType === opType)?.count;
    assert.deepEqual([count('Conv'), count('BatchNormalization'), count('Gemm')], [22, 22, 1]);
    assert.ok(info.operators.every((row) => row.isRunnable));
    assert.ok(info.tensors.some((row) => row.name === 'classifier/weight' && row.dtype === 'f32' && row.bytes === 16 * 112 * 4));
    assert.equal(info.isQuantized, false);
    model.dispose();
  });
});

void test('the caller keeps his bytes', async () => {
  const bytes = exampleBytes();
  await withToolkit(
    async (toolkit) => {
      (await loadModel(toolkit, bytes)).dispose();
      assert.deepEqual(bytes, exampleBytes());
    },
    { runIn: 'worker' },
  );
});

void test('what is no model is refused with a code and one sentence', async () => {
  const whole = exampleBytes();
  const cases: readonly (readonly [string, Uint8Array])[] = [
    ['empty', new Uint8Array(0)],
    ['one byte', Uint8Array.of(8)],
    ['text', new TextEncoder().encode('this is no model\n')],
    ['a length of 4 GB', Uint8Array.of(0x08, 8, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3)],
    ['half', whole.slice(0, whole.length >> 1)],
    ['its last byte missing', whole.slice(0, -1)],
  ];
  await withToolkit(async (toolkit) => {
    for (const [what, bytes] of cases) {
      await assert.rejects(loadModel(toolkit, bytes, { name: 'bad.onnx' }), (error: { code?: string; message: string }) => {
        assert.ok(error.code === 'bad_model' || error.code === 'bad_graph', `${what}: ${String(error.code)} ${error.message}`);
        assert.equal(error.message.includes('\n'), false);
        return true;
      });
    }
    await assert.rejects(loadModel(toolkit, '/no/such/model.onnx'), { code: 'io_failed' });
    await assert.rejects(loadModel(toolkit, tmpdir()), { code: 'io_failed' });
    await assert.rejects(loadModel(toolkit, 7 as unknown as ByteInput), { code: 'invalid_argument' });
  });
});

void test('a reader that fails or gives nonsense sizes is an error of its own', async () => {
  await withToolkit(async (toolkit) => {
    const broken = {
      sizeBytes: 1000,
      read: () => {
        throw new Error('the disk is gone');
      },
    };
    await assert.rejects(loadModel(toolkit, broken, { name: 'far.onnx' }), /the disk is gone/);
    await assert.rejects(loadModel(toolkit, { sizeBytes: -1, read: () => undefined }), { code: 'invalid_argument' });
    await assert.rejects(loadModel(toolkit, { sizeBytes: Number.NaN, read: () => undefined }), { code: 'invalid_argument' });
  });
});

void test('a model is no longer usable once it was disposed, and disposing twice is harmless', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    model.dispose();
    model.dispose();
    assert.equal(model.isDisposed, true);
    await assert.rejects(inspect(model), { code: 'disposed' });
  });
});

void test('a path that is a link is followed, since the caller named it', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-load-'));
  try {
    writeFileSync(join(folder, 'real.onnx'), exampleBytes());
    symlinkSync(join(folder, 'real.onnx'), join(folder, 'link.onnx'));
    await withToolkit(async (toolkit) => {
      (await loadModel(toolkit, join(folder, 'link.onnx'))).dispose();
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
