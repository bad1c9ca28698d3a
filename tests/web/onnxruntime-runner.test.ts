import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as ortNode from 'onnxruntime-node';
import { calibrate, onnxruntimeRunner, quantize, type Feeds, type Sample } from '../../web/src/node.js';
import { exampleFeeds, exampleSamples, loadExample } from './support/example.js';
import { withToolkit } from './support/toolkit.js';

void test('onnxruntime-node as the runner sees the same ranges as our engine', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const samples: Sample[] = (await exampleFeeds(model, 'images', 12)).map((feeds) => ({ feeds }));
    const theirs = await quantize(model, { calibration: samples, runner: onnxruntimeRunner(ortNode), evaluation: false });
    const ours = await quantize(model, { calibration: samples, evaluation: false });
    const activations = ours.report.tensors.filter((row) => row.role === 'activation');
    assert.ok(activations.length > 20);
    assert.equal(theirs.report.tensors.length, ours.report.tensors.length);
    for (const row of activations) {
      const other = theirs.report.tensors.find((candidate) => candidate.tensor === row.tensor);
      assert.ok(other !== undefined, row.tensor);
      assert.ok(Math.abs(other.scale - row.scale) <= 1e-4 * row.scale, `${row.tensor}: scales ${row.scale} and ${other.scale}`);
      assert.ok(Math.abs(other.zeroPoint - row.zeroPoint) <= 1, row.tensor);
    }
    for (const owned of [theirs, ours, model]) owned.dispose();
  });
});

void test('a runner of one’s own gets pictures as tensors, is told what to return, and is disposed also when it fails', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const told: string[] = [];
    const runner = {
      prepare: async (_: unknown, values: readonly string[]) => {
        told.push(`prepare ${values.includes('head/flatten_output') || values.length > 0 ? 'some' : 'no'} values`);
      },
      run: async (feeds: Feeds) => {
        told.push(
          `run ${Object.entries(feeds)
            .map(([name, { shape }]) => `${name} ${shape.join('x')}`)
            .join()}`,
        );
        throw new Error('out of luck');
      },
      dispose: async () => {
        told.push('dispose');
      },
    };
    const samples = (await exampleFeeds(model, 'images', 1)).map((feeds) => ({ feeds }));
    for (const given of [exampleSamples(model, 'images', 1), samples])
      await assert.rejects(calibrate(model, given, { runner }), /out of luck/);
    const once = ['prepare some values', 'run image 1x3x64x64', 'dispose'];
    assert.deepEqual(told, [...once, ...once]);
    model.dispose();
  });
});

void test('a model that onnxruntime cannot open is told as such', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const broken = {
      InferenceSession: {
        create: async () => {
          throw new Error('no kernel');
        },
      },
      Tensor: ortNode.Tensor,
    };
    const samples = (await exampleFeeds(model, 'images', 1)).map((feeds) => ({ feeds }));
    await assert.rejects(calibrate(model, samples, { runner: onnxruntimeRunner(broken) }), {
      code: 'unsupported',
      message: /no kernel/,
    });
    model.dispose();
  });
});
