import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  listSchemes,
  loadModel,
  openToolkit,
  quantize,
  QuantError,
  type SchemeInput,
  tryScheme,
  type Toolkit,
} from '../../web/src/node.js';
import { exampleBytes } from './support/example.js';

async function withToolkit(work: (toolkit: Toolkit) => Promise<void>): Promise<void> {
  const toolkit = await openToolkit({ runIn: 'caller' });
  try {
    await work(toolkit);
  } finally {
    await toolkit.dispose();
  }
}

const isRefused =
  (code: string, words: RegExp) =>
  (error: unknown): boolean =>
    error instanceof QuantError && error.code === code && words.test(error.message);

void test('listSchemes: every scheme has a name of its own, bits and what holds it, and can be tried', () =>
  withToolkit(async (toolkit) => {
    const schemes = await listSchemes(toolkit);
    assert.ok(schemes.length >= 40);
    assert.equal(new Set(schemes.map((scheme) => scheme.name)).size, schemes.length);
    const values = Float32Array.from({ length: 128 }, (_, i) => Math.sin(i) / 10);
    for (const { name, bits, minBits, maxBits, targets } of schemes) {
      assert.ok(bits >= minBits && bits <= maxBits && targets !== '', name);
      const report = await tryScheme({ toolkit, values, shape: [2, 64] }, { scheme: name });
      assert.equal(report.bits, bits, name);
      assert.ok(report.bitsPerWeight >= (name.startsWith('pq') ? 1 : bits), name);
      if (bits <= 8)
        assert.equal(
          report.codeCounts.reduce((sum, n) => sum + n, 0),
          name.startsWith('pq') ? 128 / Number(name[2]) : 128,
          name,
        );
    }
  }));

void test('tryScheme: the formula of a case worked by hand', () =>
  withToolkit(async (toolkit) => {
    const values = Float32Array.of(-1, 0, 0.5, 2);
    const report = await tryScheme({ toolkit, values, shape: [4] }, { scheme: 'u8_tensor', bits: 2 });
    // [-1, 2] in 3 steps of 1: the zero point is 1, and 0.5 goes to the even code.
    assert.equal(report.scale, 1);
    assert.equal(report.zeroPoint, 1);
    assert.deepEqual([report.qmin, report.qmax, report.rmin, report.rmax], [0, 3, -1, 2]);
    assert.deepEqual(report.grid, [-1, 0, 1, 2]);
    assert.deepEqual(report.codeCounts, [1, 2, 0, 1]);
    assert.equal(report.maxAbsError, 0.5);
    assert.equal(report.meanSquaredError, 0.0625);
    assert.equal(report.sqnr.sqnrDb?.toFixed(4), (10 * Math.log10(5.25 / 0.25)).toFixed(4));
    assert.equal(report.bitsPerWeight, 2 + 34 / 4);
    assert.deepEqual(
      report.histogram?.counts.reduce((sum, n) => sum + n, 0),
      4,
    );
  }));

void test('tryScheme: signed codes are counted from the least one, and a scale of many is shown', () =>
  withToolkit(async (toolkit) => {
    const values = Float32Array.of(7, -7, 1, 14, 0, -2);
    const scheme = { scheme: 'i4', narrowRange: true, scaleIndex: 1 };
    const report = await tryScheme({ toolkit, values, shape: [2, 3] }, scheme);
    assert.equal(report.scaleCount, 2);
    assert.equal(report.scale, 2);
    assert.equal(report.grid[0], -16); // code -8, which a narrow range leaves out
    assert.equal(report.grid[15], 14);
    assert.deepEqual(
      [report.codeCounts[0], report.codeCounts[1], report.codeCounts[7], report.codeCounts[9], report.codeCounts[15]],
      [0, 1, 1, 1, 2],
    );
  }));

void test('tryScheme: a constant of a model, along the axis of the node that reads it', () =>
  withToolkit(async (toolkit) => {
    const model = await loadModel(toolkit, exampleBytes());
    const tensor = model.info.tensors.find(({ shape, dtype }) => dtype === 'f32' && shape.length === 4);
    assert.ok(tensor !== undefined);
    const report = await tryScheme({ model, tensor: tensor.name }, { scheme: 'i8' });
    assert.equal(report.granularity, 'per_channel(axis=0)');
    assert.equal(report.scaleCount, tensor.shape[0]);
    assert.ok((report.sqnr.sqnrDb ?? 0) > 35);
    const clipped = await tryScheme({ model, tensor: tensor.name }, { scheme: 'i4', clipping: 'mse' });
    const plain = await tryScheme({ model, tensor: tensor.name }, { scheme: 'i4' });
    assert.ok(clipped.meanSquaredError <= plain.meanSquaredError);
    await assert.rejects(tryScheme({ model, tensor: 'nobody' }, { scheme: 'i8' }), isRefused('invalid_argument', /'nobody'/));
    model.dispose();
    await assert.rejects(tryScheme({ model, tensor: tensor.name }, { scheme: 'i8' }), isRefused('disposed', /model/));
  }));

void test('tryScheme: unknown names, keys and numbers out of range are refused by name', () =>
  withToolkit(async (toolkit) => {
    const target = { toolkit, values: new Float32Array(64).fill(1), shape: [64] };
    const refused = async (scheme: SchemeInput, words: RegExp): Promise<void> => {
      await assert.rejects(tryScheme(target, scheme), isRefused('invalid_argument', words));
    };
    await refused({ scheme: 'i9' }, /'i9'/);
    await refused({ scheme: 'i8', bits: 9 }, /bits is 9/);
    await refused({ scheme: 'i8', bits: 1 }, /binary/);
    await refused({ scheme: 'i8', bits: 2.5 }, /bits must be a whole number/);
    await refused({ scheme: 'i8_b32', blockSize: 0 }, /block_size is 0/);
    await refused({ scheme: 'i8', scaleIndex: 64 }, /there are 64/);
    await refused({ scheme: 'kmeans16', entries: 257 }, /n_entries is 257/);
    await refused({ scheme: 'i8', clipping: 'median' as 'mse' }, /clipping must be one of/);
    await refused({ scheme: 'i8', colour: 1 } as unknown as SchemeInput, /colour is not a known key/);
    await assert.rejects(tryScheme({ ...target, shape: [63] }, { scheme: 'i8' }), QuantError);
    await assert.rejects(tryScheme(target, { scheme: 'i8', axis: 3 }), QuantError);
  }));

void test('tryScheme: NaN only, nothing and zeros have a report without NaN', () =>
  withToolkit(async (toolkit) => {
    for (const values of [
      new Float32Array(40).fill(NaN),
      new Float32Array(0),
      new Float32Array(40),
      new Float32Array(1).fill(Infinity),
    ]) {
      for (const { name } of await listSchemes(toolkit)) {
        const report = await tryScheme({ toolkit, values, shape: [values.length] }, { scheme: name });
        assert.ok(Number.isFinite(report.scale) && report.scale > 0, name);
        assert.ok(
          report.grid.every(Number.isFinite) || name === 'f8e4m3fn' || name.startsWith('f8') || name.startsWith('mxfp8'),
          name,
        );
        assert.equal(report.notFinite, values.filter((value) => !Number.isFinite(value)).length);
      }
    }
  }));

void test('a recipe with overrides makes of each weight what tryScheme says of the same scheme', () =>
  withToolkit(async (toolkit) => {
    const model = await loadModel(toolkit, exampleBytes(), { name: 'model.onnx' });
    const overrides = { blockSize: 16, clipping: 'mse' } as const;
    const found: (number | null)[][] = [];
    for (const chosen of [{}, overrides]) {
      const recipe = { mode: 'weight_only', weight: { scheme: 'i4_b32', overrides: chosen } } as const;
      const result = await quantize(model, { recipe, evaluation: false });
      // Others have no axis that is long enough for blocks, and get a scale for each channel.
      const weights = result.report.tensors.filter(({ role, granularity }) => role === 'weight' && granularity.includes('block'));
      assert.ok(weights.length > 0);
      for (const { tensor, sqnr } of weights) {
        const tried = await tryScheme({ model, tensor }, { scheme: 'i4_b32', ...chosen });
        assert.ok(Math.abs((sqnr?.sqnrDb ?? NaN) - (tried.sqnr.sqnrDb ?? NaN)) < 1e-9, tensor);
      }
      found.push(weights.map(({ sqnr }) => sqnr?.sqnrDb ?? null));
      result.dispose();
    }
    assert.notDeepEqual(found[0], found[1]);
    const impossible = { mode: 'weight_only', weight: { scheme: 'i4_b32', overrides: { bits: 99 } } } as const;
    await assert.rejects(quantize(model, { recipe: impossible, evaluation: false }), isRefused('invalid_argument', /bits/));
    model.dispose();
  }));
