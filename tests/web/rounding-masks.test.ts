/** What decides how weights are rounded beside their values: masks, and seeds of recipes. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSession, loadModel, quantize, QuantError, type RecipeInput, tryScheme, type Toolkit } from '../../web/src/node.js';
import { numbers } from './support/measure.js';
import { smallModel } from './support/small-model.js';
import { withToolkit } from './support/toolkit.js';

const size = 32;
const weight = Float32Array.from({ length: size * size }, (_, i) => Math.sin(0.7 * (i + 1)) * (1 + Math.sin(0.01 * i)));
const unit = Float32Array.from({ length: size * size }, (_, i) => (i % (size + 1) === 0 ? 1 : 0));
const product = smallModel({
  opset: 17,
  inputs: { x: [size, size] },
  outputs: ['y'],
  constants: { w: { shape: [size, size], data: weight } },
  nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
});

const refused =
  (code: string, words: RegExp) =>
  (error: unknown): boolean =>
    error instanceof QuantError && error.code === code && words.test(error.message);

/** A product with the unit matrix is the weight; the file, and warnings. */
async function stored(
  toolkit: Toolkit,
  recipe: RecipeInput,
  roundingMasks: Readonly<Record<string, Uint8Array>> = {},
): Promise<{ weight: number[]; bytes: Uint8Array; warnings: readonly string[] }> {
  const model = await loadModel(toolkit, product);
  try {
    const result = await quantize(model, {
      recipe: { mode: 'weight_only', ...recipe },
      roundingMasks,
      evaluation: false,
      allowLarger: true,
    });
    const session = await createSession(result.model, { arithmetic: 'simulated' });
    const { y } = await session.run({ x: { dtype: 'f32', shape: [size, size], data: unit } });
    session.dispose();
    result.dispose();
    return { weight: Array.from(numbers(y)), bytes: result.bytes, warnings: result.report.warnings };
  } finally {
    model.dispose();
  }
}

void test('tryScheme: a mask says which values round up, by bytes or by bits', () =>
  withToolkit(async (toolkit) => {
    // Scale 1: down they are 0, 1, -1, -3, 2, 0, 0, 0, 127.
    const values = Float32Array.of(0.5, 1.25, -0.75, -2.5, 2, 0.1, 0.2, 0.3, 127);
    const target = { toolkit, values, shape: [9] };
    const scheme = { scheme: 'i8_tensor', rounding: 'mask' } as const;
    const countsWith = async (mask: Uint8Array): Promise<Record<number, number>> => {
      const report = await tryScheme(target, { ...scheme, roundingMasks: { values: mask, other: Uint8Array.of(1, 2, 3) } });
      assert.equal(report.scale, 1);
      assert.equal(report.rounding, 'mask');
      return Object.fromEntries(
        report.codeCounts.map((count, i) => [report.qmin - 1 + i, count] as const).filter(([, count]) => count > 0),
      );
    };
    const up = Uint8Array.of(1, 0, 1, 0, 0, 0, 0, 1, 1); // 1, 1, 0, -3, 2, 0, 0, 1, and 127 stays the largest
    assert.deepEqual(await countsWith(up), { '-3': 1, '0': 3, '1': 3, '2': 1, '127': 1 });
    assert.deepEqual(await countsWith(Uint8Array.of(0b1000_0101, 1)), await countsWith(up));
    assert.deepEqual(await countsWith(new Uint8Array(9)), { '-3': 1, '-1': 1, '0': 4, '1': 1, '2': 1, '127': 1 });
    for (const roundingMasks of [{}, { values: new Uint8Array(3) }, { other: up }])
      await assert.rejects(
        tryScheme(target, { ...scheme, roundingMasks }),
        refused('shape_mismatch', /tensor 'values'.* 9 bytes/),
      );
    const list = { values: [1] as unknown as Uint8Array };
    await assert.rejects(tryScheme(target, { ...scheme, roundingMasks: list }), refused('invalid_argument', /'values'/));
    const nearest = { scheme: 'i8', roundingMasks: { values: up } };
    await assert.rejects(tryScheme(target, nearest), refused('invalid_argument', /'values' is for rounding 'mask'/));
  }));

void test('quantize: masks by the names of weights round up where they say so', () =>
  withToolkit(async (toolkit) => {
    const recipe = (rounding: 'mask' | 'floor'): RecipeInput => ({
      weight: { scheme: 'i4', overrides: { rounding, granularity: 'per_tensor' } },
    });
    const down = (await stored(toolkit, recipe('floor'))).weight;
    const mask = Uint8Array.from(weight, (_, i) => ((i * 7919) % 3) & 1);
    const bits = new Uint8Array(weight.length / 8);
    mask.forEach((up, i) => {
      bits[i >> 3] = (bits[i >> 3] ?? 0) | (up << (i & 7));
    });
    const masked = await stored(toolkit, recipe('mask'), { w: mask, nobody: mask });
    const scale = (2 * weight.reduce((most, value) => Math.max(most, Math.abs(value)), 0)) / 15;
    const expected = weight.map((value, i) => scale * Math.min(7, Math.floor(value / scale) + (mask[i] ?? 0)));
    masked.weight.forEach((real, i) => {
      assert.ok(Math.abs(real - (expected[i] ?? NaN)) < 1e-5, `${i}: ${real}, ${expected[i]}`);
    });
    assert.ok(masked.weight.some((real, i) => real !== down[i]));
    assert.deepEqual(masked.warnings, ["rounding mask of 'nobody': no weight of that name became codes"]);
    assert.deepEqual((await stored(toolkit, recipe('mask'), { w: bits })).bytes, masked.bytes);
    assert.deepEqual((await stored(toolkit, recipe('mask'), { w: new Uint8Array(weight.length) })).weight, down);
    for (const masks of [{}, { w: mask.subarray(1) }])
      await assert.rejects(
        stored(toolkit, recipe('mask'), masks),
        (error) => error instanceof QuantError && error.code === 'shape_mismatch' && error.subject === 'w',
      );
    await assert.rejects(
      stored(toolkit, recipe('floor'), { w: mask }),
      refused('invalid_argument', /'w' is for rounding 'mask'/),
    );
  }));

void test("quantize: the recipe's seed draws, unless the overrides have one", () =>
  withToolkit(async (toolkit) => {
    const schemes = [
      { scheme: 'i4', overrides: { rounding: 'stochastic' } },
      { scheme: 'kmeans4', overrides: { granularity: 'per_tensor' } },
      { scheme: 'pq4', overrides: { entries: 16 } },
    ] as const;
    for (const weight of schemes) {
      const [first, again, other] = [
        await stored(toolkit, { seed: 5, weight }),
        await stored(toolkit, { seed: 5, weight }),
        await stored(toolkit, { seed: 6, weight }),
      ];
      assert.deepEqual(again.bytes, first.bytes, weight.scheme);
      assert.notDeepEqual(other.weight, first.weight, weight.scheme);
      const own = { ...weight, overrides: { ...weight.overrides, seed: 5 } };
      assert.deepEqual((await stored(toolkit, { seed: 6, weight: own })).weight, first.weight, weight.scheme);
    }
  }));
