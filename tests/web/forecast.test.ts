import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forecast, loadModel, quantize } from '../../web/src/node.js';
import { exampleSamples, loadExample } from './support/example.js';
import { graphModel } from './support/onnx-file.js';
import { withToolkit } from './support/toolkit.js';

void test('the forecast of a job is within a factor of two of what the engine then holds', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const { neededBytes, allowedBytes, isEnough, text } = await forecast(model, { recipe: 'w8a8', measures: true });
    assert.ok(isEnough && allowedBytes > 2 ** 28 && allowedBytes <= 2 ** 32);
    assert.match(text, /^needs about .* of memory, of which .* are allowed$/);
    (await quantize(model, { calibration: exampleSamples(model, 'images', 4) })).dispose();
    const held = await toolkit.heldBytes();
    assert.ok(neededBytes < 2 * held && neededBytes > held / 2, `${neededBytes} bytes foretold, ${held} held`);
    model.dispose();
  });
});

void test('a model whose shapes contradict each other has a forecast all the same', async () => {
  await withToolkit(async (toolkit) => {
    const nodes = [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }];
    const model = await loadModel(toolkit, graphModel(nodes, ['x'], ['y'], { name: 'w', shape: [5, 4] }));
    assert.equal((await forecast(model, { recipe: 'weight_only' })).isEnough, true);
    model.dispose();
  });
});
