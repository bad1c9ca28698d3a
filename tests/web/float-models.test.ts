/**
 * Every ONNX model of ../shared/models outside malformed/, run in float on real inputs where there are some: each output is within 1e-4
 * of onnxruntime-node's, in parts of its largest magnitude, in both arithmetics. A few inputs each: what may differ is the order of sums.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createSession, loadModel, type Toolkit } from '../../web/src/node.js';
import { argmax, median, numbers, sqnrDb } from './support/measure.js';
import { openRuntime } from './support/onnxruntime.js';
import { compareCodes } from './support/per-node.js';
import { sharedModels } from './support/shared-models.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { useToolkit } from './support/toolkit.js';

const relative = 1e-4;
const inputs = 3;

/**
 * Outputs of a model that is quantized already are codes, 0.15 of a logit apart: a sum in another order flips one code of a million,
 * and what it feeds spreads it, so that no bound on reals holds. Each node is fed with the same codes instead, and answers are counted.
 */
const quantized = 'classification/mobilenet_v2_qdq_244.onnx';
/** Legacy operators. */
const refused = 'style/fns_candy_720.onnx';

let toolkit: Toolkit;
useToolkit((opened) => (toolkit = opened));

function farthest(ours: ArrayLike<number>, theirs: ArrayLike<number>): number {
  assert.equal(ours.length, theirs.length);
  let [difference, magnitude] = [0, Number.MIN_VALUE];
  for (let i = 0; i < theirs.length; ++i) {
    const [a, b] = [ours[i] as number, theirs[i] as number];
    if (!Number.isFinite(a) || !Number.isFinite(b)) assert.equal(a, b);
    else difference = Math.max(difference, Math.abs(a - b));
    magnitude = Math.max(magnitude, Math.abs(b));
  }
  return difference / magnitude;
}

void test('every model outside malformed/ is in one of the tests below', { skip: whyNotShared('models') }, () => {
  const found = readdirSync(sharedPath('models'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.onnx') && !name.startsWith('malformed'))
    .sort();
  assert.deepEqual([...sharedModels.map(({ path }) => path), refused].sort(), found);
});

for (const { path, samples, few = inputs } of sharedModels) {
  if (path === quantized) continue;
  const file = `models/${path}`;
  void test(`${path}: in float it gives what onnxruntime gives`, { skip: whyNotShared(file) }, async (context) => {
    const model = await loadModel(toolkit, sharedPath(file));
    const evaluation = await samples(model, 'eval', Math.min(few, inputs));
    const runtime = await openRuntime('onnxruntime-node', new Uint8Array(readFileSync(sharedPath(file))));
    const worst = new Map<string, number>();
    const sessions = { simulated: await createSession(model), fast: await createSession(model, { arithmetic: 'fast' }) };
    for (const { feeds } of evaluation) {
      const theirs = await runtime.run(feeds);
      for (const [arithmetic, session] of Object.entries(sessions)) {
        const ours = await session.run(feeds);
        assert.deepEqual(Object.keys(ours).sort(), Object.keys(theirs).sort());
        for (const [name, { dtype, shape }] of Object.entries(theirs)) {
          assert.equal(ours[name]?.dtype, dtype, name);
          assert.deepEqual(ours[name].shape, shape, name);
          const key = `${arithmetic} ${name}`;
          worst.set(key, Math.max(worst.get(key) ?? 0, farthest(numbers(ours[name]), numbers(theirs[name]))));
        }
      }
    }
    sessions.simulated.dispose();
    sessions.fast.dispose();
    model.dispose();
    await runtime.close();
    const figures = [...worst].map(([key, error]) => `${key}: ${error.toExponential(1)}`).join(', ');
    context.diagnostic(`${evaluation.length} inputs, ${figures}`);
    assert.ok(Math.max(...worst.values()) <= relative, figures);
  });
}

void test(
  `${quantized}: fed with the same codes each node gives the codes that onnxruntime gives, and answers are the same`,
  { skip: whyNotShared(`models/${quantized}`) },
  async (context) => {
    const bytes = new Uint8Array(readFileSync(sharedPath('models', quantized)));
    const model = await loadModel(toolkit, bytes);
    const subject = sharedModels.find(({ path }) => path === quantized);
    const evaluation = (await subject?.samples(model, 'eval', 8)) ?? [];
    assert.equal(evaluation.length, 8);
    await compareCodes(context, {
      model,
      bytes,
      feeds: evaluation.slice(0, 2).map(({ feeds }) => feeds),
      isVerbatim: true, // onnxruntime refuses what its own rewriting makes of this file
      leastEqual: { GlobalAveragePool: 0.995 }, // means of 64 codes lie on ties, where the order of float sums decides
    });
    const runtime = await openRuntime('onnxruntime-node', bytes, { isVerbatim: true });
    const session = await createSession(model);
    let same = 0;
    const near: number[] = [];
    for (const { feeds } of evaluation) {
      const ours = numbers((await session.run(feeds))['scores']);
      const theirs = numbers((await runtime.run(feeds))['scores']);
      same += argmax(ours) === argmax(theirs) ? 1 : 0;
      near.push(sqnrDb(theirs, ours));
    }
    session.dispose();
    model.dispose();
    await runtime.close();
    const figures = `top-1 ${same}/${evaluation.length}, ${median(near).toFixed(1)} dB`;
    context.diagnostic(figures);
    assert.equal(same, evaluation.length, figures);
    assert.ok(median(near) >= 25, figures);
  },
);

void test(`${refused}: it is refused by name before it runs`, { skip: whyNotShared(`models/${refused}`) }, async () => {
  const model = await loadModel(toolkit, sharedPath('models', refused));
  assert.match(String(model.info.notRunnable), /'scalerPreprocessor' \(ImageScaler\)/);
  await assert.rejects(createSession(model), {
    name: 'QuantError',
    code: 'unsupported',
    message: /'scalerPreprocessor' \(ImageScaler\)/,
  });
  model.dispose();
});
