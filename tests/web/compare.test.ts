import assert from 'node:assert/strict';
import { test } from 'node:test';
import { calibrate, compare, createSession, loadModel, quantize, type Feeds, type Tensor } from '../../web/src/node.js';
import { numbers, sqnrDb } from './support/measure.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { speech } from './support/shared-inputs.js';
import { smallModel } from './support/small-model.js';
import { withToolkit } from './support/toolkit.js';

const scalar = (value: number): Tensor => ({ dtype: 'f32', shape: [1], data: Float32Array.of(value) });

/** next = state + factor * x */
const counter = (factor: number): Uint8Array =>
  smallModel({
    opset: 17,
    inputs: { x: [1], state: [1] },
    outputs: ['next'],
    constants: { factor: { shape: [1], data: Float32Array.of(factor) } },
    nodes: [
      { op: 'Mul', inputs: ['x', 'factor'], outputs: ['step'] },
      { op: 'Add', inputs: ['step', 'state'], outputs: ['next'] },
    ],
  });

void test('compare: each model carries its own state, so errors of the state add up', async () => {
  await withToolkit(async (toolkit) => {
    const [exact, off] = [await loadModel(toolkit, counter(1)), await loadModel(toolkit, counter(1.5))];
    const samples = Array.from({ length: 3 }, () => ({ feeds: { x: scalar(1), state: scalar(0) } }));
    const { outputs, values } = await compare(exact, off, samples, { feedback: { state: 'next' } });
    // 1, 2, 3 against 1.5, 3, 4.5: 14 / 3.5. With one state for both it would be 14 / 0.75.
    assert.ok(Math.abs((outputs[0]?.sqnr.sqnrDb ?? 0) - 10 * Math.log10(4)) < 1e-6, String(outputs[0]?.sqnr.sqnrDb));
    assert.equal(outputs[0]?.maxAbsError, 1.5);
    assert.equal(values.find(({ value }) => value === 'step')?.maxAbsError, 0.5);
    exact.dispose();
    off.dispose();
  });
});

void test('compare: where a value becomes NaN or infinite there is no SQNR, whatever the rest is', async () => {
  await withToolkit(async (toolkit) => {
    const exact = await loadModel(toolkit, counter(1));
    for (const factor of [NaN, Infinity]) {
      const ruined = await loadModel(toolkit, counter(factor));
      const samples = [0, 2].map((value) => ({ feeds: { x: scalar(value), state: scalar(1) } }));
      const { outputs, values } = await compare(exact, ruined, samples, {});
      for (const row of [...outputs, ...values]) {
        assert.deepEqual(row.sqnr, { sqnrDb: null, isExact: false }, row.value);
        assert.equal(row.cosine, 0);
      }
      assert.equal(values.length, 2);
      assert.equal(outputs[0]?.medianSqnrDb, null);
      ruined.dispose();
    }
    exact.dispose();
  });
});

void test('feedback of names that the model does not have is refused before work starts', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadModel(toolkit, counter(1));
    const samples = [{ feeds: { x: scalar(1), state: scalar(0) } }];
    for (const [feedback, message] of [
      [{ state: 'nothing' }, /no output 'nothing'; its outputs are next/],
      [{ nothing: 'next' }, /no input 'nothing'; its inputs are x, state/],
    ] as const) {
      await assert.rejects(compare(model, model, samples, { feedback }), { code: 'invalid_argument', message });
      await assert.rejects(calibrate(model, samples, { feedback }), { code: 'invalid_argument', message });
    }
    model.dispose();
  });
});

const silero = 'models/audio/silero_vad_16k_op15.onnx';
void test(
  'compare: Silero at work, each model with its own state',
  { skip: whyNotShared(silero, 'data/audio/silero_test.wav') },
  async () => {
    await withToolkit(async (toolkit) => {
      const model = await loadModel(toolkit, sharedPath(silero));
      const wave = speech();
      const frames = Array.from({ length: 24 }, (_, i): Feeds => {
        const input: Tensor = { dtype: 'f32', shape: [1, 576], data: wave.slice(16000 + i * 512, 16000 + i * 512 + 576) };
        const state: Tensor = { dtype: 'f32', shape: [2, 1, 128], data: new Float32Array(256) };
        return { input, state, sr: { dtype: 'i64', shape: [], data: BigInt64Array.of(16000n) } };
      });
      const feedback = { state: 'stateN' };
      const result = await quantize(model, {
        recipe: { mode: 'weight_only' },
        evaluation: frames.map((feeds) => ({ feeds })),
        feedback,
      });
      const runs: number[][] = [];
      for (const one of [model, result.model]) {
        const session = await createSession(one, { arithmetic: 'simulated' });
        const seen: number[] = [];
        let carried: Feeds = {};
        for (const feeds of frames) {
          const { output, stateN } = await session.run({ ...feeds, ...carried });
          seen.push(...Array.from(numbers(output)));
          carried = { state: stateN as Tensor };
        }
        runs.push(seen);
        session.dispose();
      }
      const told = result.report.comparison?.outputs.find(({ value }) => value === 'output')?.sqnr.sqnrDb ?? 0;
      const [float = [], quantized = []] = runs;
      assert.ok(Math.abs(told - sqnrDb(float, quantized)) < 1e-3, `${told} dB told, ${sqnrDb(float, quantized)} dB by runs`);
      result.dispose();
      model.dispose();
    });
  },
);
