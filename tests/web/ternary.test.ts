import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as ort from 'onnxruntime-node';
import { createSession, loadModel, openToolkit, type Toolkit } from '../../web/src/node.js';
import { smallModel } from './support/small-model.js';

let toolkit: Toolkit;
before(async () => {
  toolkit = await openToolkit({ runIn: 'caller' });
});
after(() => toolkit.dispose());

let state = 11;
/** Uniform in [-1, 1). */
const next = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state >>> 8) / 2 ** 23 - 1;
};
/** One magnitude for each index of the axis, so that sums are exact in float too; `share` of the values are 0. */
const weights = (shape: readonly number[], axis: number, share: number) => {
  const stride = shape.slice(axis + 1).reduce((p, e) => p * e, 1);
  const data = Float32Array.from({ length: shape.reduce((p, e) => p * e, 1) }, (_, i) => {
    const scale = 2 ** -(1 + ((Math.floor(i / stride) % (shape[axis] ?? 1)) % 4));
    return Math.abs(next()) < share ? 0 : Math.sign(next()) * scale;
  });
  return { shape, data };
};

for (const [kind, share] of [
  ['binary', 0],
  ['ternary', 0.35],
] as const)
  test(`a network of signs and ${kind} weights gives what onnxruntime gives, by xor and popcount`, async () => {
    const bytes = smallModel({
      opset: 17,
      inputs: { x: [2, 40, 13, 11] },
      outputs: ['y', 'z'],
      constants: {
        w1: weights([24, 40, 3, 3], 0, share),
        b1: { shape: [24], data: Float32Array.from({ length: 24 }, next) },
        w2: weights([16, 12, 5, 5], 0, share),
        rows: { shape: [2], data: BigInt64Array.of(2n, -1n) },
        w3: weights([16 * 42, 50], 1, share),
        zero: { shape: [], data: Float32Array.of(0) },
        one: { shape: [], data: Float32Array.of(1) },
        minus: { shape: [], data: Float32Array.of(-1) },
        w4: weights([9, 50], 0, share),
        b4: { shape: [9], data: Float32Array.from({ length: 9 }, next) },
      },
      nodes: [
        { op: 'Sign', inputs: ['x'], outputs: ['s'] },
        { op: 'Conv', inputs: ['s', 'w1', 'b1'], outputs: ['c1'], attributes: { pads: [1, 1, 1, 1], strides: [2, 2] } },
        { op: 'Sign', inputs: ['c1'], outputs: ['s1'] },
        { op: 'Conv', inputs: ['s1', 'w2'], outputs: ['z'], attributes: { pads: [2, 2, 2, 2], group: 2 } },
        { op: 'Sign', inputs: ['z'], outputs: ['s2'] },
        { op: 'Reshape', inputs: ['s2', 'rows'], outputs: ['r'] },
        { op: 'MatMul', inputs: ['r', 'w3'], outputs: ['m'] },
        { op: 'Less', inputs: ['m', 'zero'], outputs: ['is_negative'] },
        { op: 'Where', inputs: ['is_negative', 'minus', 'one'], outputs: ['s3'] },
        { op: 'Gemm', inputs: ['s3', 'w4', 'b4'], outputs: ['y'], attributes: { transB: 1 } },
      ],
    });
    const data = Float32Array.from({ length: 2 * 40 * 13 * 11 }, next);
    const model = await loadModel(toolkit, bytes);
    const session = await createSession(model);
    const ours = await session.run({ x: { dtype: 'f32', shape: [2, 40, 13, 11], data } });
    const peer = await ort.InferenceSession.create(bytes);
    const theirs = await peer.run({ x: new ort.Tensor('float32', data, [2, 40, 13, 11]) });
    for (const name of ['y', 'z']) {
      const [found, wanted] = [ours[name]?.data as Float32Array, theirs[name]?.data as Float32Array];
      assert.equal(found.length, wanted.length);
      for (const [i, value] of wanted.entries())
        assert.ok(
          Math.abs((found[i] ?? NaN) - value) <= 1e-5 * Math.max(1, Math.abs(value)),
          `${name}[${i}]: ${found[i]}, not ${value}`,
        );
    }
    const rows = await session.explain();
    const ternary = rows.filter((row) => row.opType.startsWith('Ternary'));
    assert.deepEqual(
      ternary.map((row) => row.opType),
      ['TernaryConv', 'TernaryConv', 'TernaryMatMul', 'TernaryGemm'],
    );
    assert.match(ternary[0]?.nodes ?? '', /^node '.*' \(Conv\)$/);
    session.dispose();
    model.dispose();
    await peer.release();
  });
