import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  createSession,
  openToolkit,
  quantize,
  type Feeds,
  type Model,
  type QuantMode,
  type Target,
  type Toolkit,
} from '../../web/src/node.js';
import { exampleFeeds, exampleSamples, loadExample } from './support/example.js';
import { argmax, median, numbers, sqnrDb } from './support/measure.js';
import { openRuntime, runtimeNames, whyNotExact } from './support/onnxruntime.js';

const modes: readonly QuantMode[] = ['static', 'dynamic', 'weight_only', 'float16'];
const targets: readonly Target[] = ['onnxruntime-web', 'onnxruntime', 'portable'];

let toolkit: Toolkit;
let model: Model;
let feeds: readonly Feeds[];
const float: ArrayLike<number>[] = [];

before(async () => {
  toolkit = await openToolkit();
  model = await loadExample(toolkit);
  feeds = await exampleFeeds(model, 'eval', 32);
  const session = await createSession(model);
  for (const feed of feeds) float.push(numbers((await session.run(feed))['logits']));
  session.dispose();
});
after(async () => {
  model.dispose();
  assert.equal(await toolkit.liveHandles(), 0);
  await toolkit.dispose();
});

void test('the float example gives the same logits in both runtimes', async () => {
  for (const name of runtimeNames) {
    const runtime = await openRuntime(name, (await import('./support/example.js')).exampleBytes());
    for (const [i, feed] of feeds.entries()) {
      const theirs = numbers((await runtime.run(feed))['logits']);
      const ours = float[i] as ArrayLike<number>;
      for (let k = 0; k < theirs.length; ++k) {
        const [a, b] = [ours[k] as number, theirs[k] as number];
        assert.ok(Math.abs(a - b) <= 1e-4 * Math.max(1, Math.abs(b)), `${name}, sample ${i}, logit ${k}: ${a} and ${b}`);
      }
    }
    await runtime.close();
  }
});

for (const mode of modes) {
  for (const target of targets) {
    void test(`example, ${mode} for ${target}: both runtimes run it as we mean it`, async (context) => {
      const calibration = exampleSamples(model, 'images');
      const result = await quantize(model, { recipe: { mode, target }, calibration, evaluation: false });
      const session = await createSession(result.model);
      const simulated: ArrayLike<number>[] = [];
      for (const feed of feeds) simulated.push(numbers((await session.run(feed))['logits']));
      session.dispose();
      result.dispose();
      const cost = median(simulated.map((ours, i) => sqnrDb(float[i] as ArrayLike<number>, ours)));
      for (const name of runtimeNames) {
        const runtime = await openRuntime(name, result.bytes);
        const reasonNot = mode === 'float16' || mode === 'weight_only' ? undefined : whyNotExact(name);
        let same = 0;
        const near: number[] = [];
        for (const [i, feed] of feeds.entries()) {
          const theirs = numbers((await runtime.run(feed))['logits']);
          same += argmax(theirs) === argmax(simulated[i] as ArrayLike<number>) ? 1 : 0;
          near.push(sqnrDb(simulated[i] as ArrayLike<number>, theirs));
        }
        await runtime.close();
        const fidelity = median(near);
        const figures = `${name}: top-1 ${same}/${feeds.length}, runtime to simulation ${fidelity.toFixed(1)} dB, float to simulation ${cost.toFixed(1)} dB`;
        context.diagnostic(figures);
        if (reasonNot !== undefined) {
          context.diagnostic(`${name} was run, not measured: ${reasonNot}`);
          continue;
        }
        assert.ok(same >= 0.97 * feeds.length, figures);
        assert.ok(fidelity >= cost + 6, figures);
      }
    });
  }
}
