import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSession, loadModel, quantize, type Feeds } from '../../web/src/node.js';
import { numbers, sqnrDb } from './support/measure.js';
import { openRuntime } from './support/onnxruntime.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { withToolkit } from './support/toolkit.js';

const pack = 'data/conformance/onnxruntime_testdata.tar.gz';
const member = 'onnxruntime/test/testdata/mnist.basic.ort';

void test('an .ort file runs as in onnxruntime, and is quantized to an ONNX file', { skip: whyNotShared(pack) }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-ort-'));
  try {
    execFileSync('tar', ['-xzf', sharedPath(pack), '-C', folder, member]);
    const path = join(folder, member);
    await withToolkit(async (toolkit) => {
      const model = await loadModel(toolkit, path);
      const [input] = model.info.inputs;
      assert.ok(input);
      assert.deepEqual(input.shape, [1, 1, 28, 28]);
      const data = Float32Array.from({ length: 784 }, (_, i) => ((i * 37) % 256) / 255);
      const feeds: Feeds = { [input.name]: { dtype: 'f32', shape: input.shape, data } };
      const outputOf = async (bytes: Uint8Array): Promise<ArrayLike<number>> => {
        const runtime = await openRuntime('onnxruntime-node', bytes);
        const [output] = Object.values(await runtime.run(feeds));
        await runtime.close();
        return numbers(output);
      };
      const theirs = await outputOf(new Uint8Array(readFileSync(path)));
      const session = await createSession(model);
      const [ours] = Object.values(await session.run(feeds));
      session.dispose();
      assert.ok(sqnrDb(theirs, numbers(ours)) > 100);
      const result = await quantize(model, { recipe: 'weight_only' });
      assert.ok(sqnrDb(theirs, await outputOf(result.bytes)) > 20);
      result.dispose();
      model.dispose();
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
