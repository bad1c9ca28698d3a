/** Static and dynamic mode with other schemes than the usual ones: onnxruntime computes what we mean, and errors fall as they should. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import {
  createSession,
  loadModel,
  openToolkit,
  quantize,
  type Feeds,
  type Model,
  type QuantizeResult,
  type RecipeInput,
  type SchemeOverrides,
  type Toolkit,
} from '../../web/src/node.js';
import { numbers, sqnrDb } from './support/measure.js';
import { openRuntime, whyNotExact } from './support/onnxruntime.js';
import { smallModel } from './support/small-model.js';

/** Float products are added in another order by each runtime. */
const minSqnrDb = 60;
const channels = 16;
const side = 8;

let toolkit: Toolkit;
let net: Model;

/** Uniform in [-1, 1], now and then ten times that. */
function noise(length: number, seed: number, outliers = 0): Float32Array {
  let state = seed >>> 0;
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  return Float32Array.from({ length }, () => (2 * next() - 1) * (next() < outliers ? 10 : 1));
}

before(async () => {
  toolkit = await openToolkit();
  const bytes = smallModel({
    opset: 17,
    inputs: { x: [1, channels, side, side] },
    outputs: ['y'],
    constants: {
      w: { shape: [channels, channels, 3, 3], data: noise(channels * channels * 9, 1, 0.001) },
      b: { shape: [channels], data: noise(channels, 2) },
      d: { shape: [channels, 1, 3, 3], data: noise(channels * 9, 3) },
      v: { shape: [channels, 100], data: noise(channels * 100, 4, 0.001) },
      c: { shape: [100], data: noise(100, 5) },
      u: { shape: [100, 40], data: noise(4000, 6, 0.001) },
    },
    nodes: [
      { op: 'Conv', inputs: ['x', 'w', 'b'], outputs: ['a'], attributes: { pads: [1, 1, 1, 1] } },
      { op: 'Relu', inputs: ['a'], outputs: ['r'] },
      { op: 'Conv', inputs: ['r', 'd'], outputs: ['e'], attributes: { pads: [1, 1, 1, 1], group: channels } },
      { op: 'Add', inputs: ['e', 'x'], outputs: ['s'] },
      { op: 'GlobalAveragePool', inputs: ['s'], outputs: ['p'] },
      { op: 'Flatten', inputs: ['p'], outputs: ['f'] },
      { op: 'Gemm', inputs: ['f', 'v', 'c'], outputs: ['g'] },
      { op: 'MatMul', inputs: ['g', 'u'], outputs: ['y'] },
    ],
  });
  net = await loadModel(toolkit, bytes, { name: 'net.onnx' });
});
after(async () => {
  net.dispose();
  assert.equal(await toolkit.liveHandles(), 0);
  await toolkit.dispose();
});

const feedsOf = (seed: number): Feeds => ({
  x: { dtype: 'f32', shape: [1, channels, side, side], data: noise(channels * side * side, seed) },
});
const feeds = feedsOf(11);
const samples = [11, 12, 13].map((seed) => ({ feeds: feedsOf(seed) }));

async function ours(model: Model, given: Feeds, arithmetic: 'simulated' | 'fast' = 'simulated'): Promise<ArrayLike<number>> {
  const session = await createSession(model, { arithmetic });
  const outputs = await session.run(given);
  session.dispose();
  return numbers(Object.values(outputs)[0]);
}

/** One that adds u8 x s8 products exactly on this CPU. */
const exact = whyNotExact('onnxruntime-node') === undefined ? 'onnxruntime-node' : 'onnxruntime-web';

async function theirs(bytes: Uint8Array, given: Feeds, isVerbatim: boolean): Promise<ArrayLike<number>> {
  const runtime = await openRuntime(exact, bytes, { isVerbatim });
  const outputs = await runtime.run(given);
  await runtime.close();
  return numbers(Object.values(outputs)[0]);
}

/** SQNR of the result against float, after both runs of ours and those of onnxruntime agreed. */
async function checked(model: Model, recipe: RecipeInput, given: Feeds = feeds): Promise<{ db: number; result: QuantizeResult }> {
  const needsSamples = (recipe.mode ?? 'static') === 'static';
  const result = await quantize(model, { recipe, ...(needsSamples && { calibration: samples }), evaluation: false });
  const meant = await ours(result.model, given);
  const others: [string, ArrayLike<number>][] = [['ours, fast', await ours(result.model, given, 'fast')]];
  for (const isVerbatim of [true, false])
    others.push([`${exact}, ${isVerbatim ? 'verbatim' : 'optimized'}`, await theirs(result.bytes, given, isVerbatim)]);
  for (const [name, values] of others) {
    const db = sqnrDb(meant, values);
    assert.ok(db > minSqnrDb, `${name}: ${db} dB`);
  }
  return { db: sqnrDb(await ours(model, given), meant), result };
}

for (const dtype of ['u16', 'i16'] as const) {
  for (const target of ['onnxruntime-web', 'portable'] as const) {
    void test(`static, ${dtype} activations, ${target}: better by far than 8 bits where weights allow it`, async (context) => {
      const weight = { dtype: 'i16' } as const;
      const narrow = await checked(net, { target, weight });
      const wide = await checked(net, { target, weight, activation: { dtype } });
      context.diagnostic(`${narrow.db.toFixed(1)} dB by 8 bits, ${wide.db.toFixed(1)} dB by 16`);
      // Steps of 16 bits are 48 dB below those of 8; the scales of biases take a part.
      assert.ok(wide.db > narrow.db + 30);
      assert.ok(wide.result.report.lint.some(({ message }) => /^.16 codes: runtimes compute .* in float/.test(message)));
      narrow.result.dispose();
      wide.result.dispose();
    });
  }
}

void test('static, i4 weights (W4A8): files that onnxruntime reads, weights of half the size', async (context) => {
  const eight = await checked(net, {});
  const four = await checked(net, { weight: { dtype: 'i4' } });
  const clipped = await checked(net, { weight: { dtype: 'i4', overrides: { clipping: 'mse' } } });
  context.diagnostic(`${eight.db.toFixed(1)} dB by 8 bits, ${four.db.toFixed(1)} by 4, ${clipped.db.toFixed(1)} by 4 with mse`);
  const bytesOf = ({ result }: typeof four): number =>
    result.report.tensors.filter(({ role }) => role === 'weight').reduce((sum, { bytesAfter }) => sum + bytesAfter, 0);
  assert.ok(bytesOf(four) < 0.65 * bytesOf(eight)); // codes half, scales the same
  for (const { result } of [eight, four, clipped]) result.dispose();
});

/** Mean squared errors of the weights by the report's SQNR: a signal's energy does not change. */
async function weightErrors(recipe: RecipeInput): Promise<Map<string, number>> {
  const { result } = await checked(net, recipe);
  const rows = result.report.tensors.filter(({ role }) => role === 'weight');
  const errors = new Map(rows.map(({ tensor, sqnr }) => [tensor, 10 ** (-(sqnr?.sqnrDb ?? Infinity) / 10)]));
  result.dispose();
  return errors;
}

for (const mode of ['static', 'dynamic'] as const) {
  void test(`${mode}: clipping and rounding of weights are honoured, mse is never worse than min_max`, async () => {
    const of = (overrides: SchemeOverrides): Promise<Map<string, number>> => weightErrors({ mode, weight: { overrides } });
    const whole = await of({});
    for (const clipping of ['mse', 'entropy', 'percentile', 'aciq_laplace', 'aciq_gaussian'] as const) {
      const found = await of({ clipping, percentile: 99 });
      assert.notDeepEqual(found, whole, clipping);
      if (clipping !== 'mse') continue;
      assert.ok([...found].every(([tensor, error]) => error <= (whole.get(tensor) as number) * (1 + 1e-9)));
    }
    // Uniform errors of one step instead of half a step to either side: four times the square; unbiased: twice.
    const nearest = whole.get('w') as number;
    const floor = (await of({ rounding: 'floor' })).get('w') as number;
    const stochastic = (await of({ rounding: 'stochastic', seed: 1 })).get('w') as number;
    assert.ok(floor > 3.5 * nearest && floor < 4.5 * nearest, `${floor / nearest}`);
    assert.ok(stochastic > 1.7 * nearest && stochastic < 2.3 * nearest, `${stochastic / nearest}`);
    assert.notDeepEqual(await of({ rounding: 'stochastic', seed: 2 }), await of({ rounding: 'stochastic', seed: 1 }));
    // [-127, 127] has 254 steps, [-128, 127] 255.
    const scaleOf = async (narrowRange: boolean): Promise<number> => {
      const { result } = await checked(net, { mode, weight: { narrowRange } });
      const scale = result.report.tensors.find(({ tensor }) => tensor === 'w')?.scale ?? 0;
      result.dispose();
      return scale;
    };
    assert.ok(Math.abs((await scaleOf(false)) / (await scaleOf(true)) - 254 / 255) < 1e-6);
  });
}

void test('static: output_error gives the layer a smaller error than mse where inputs differ in size', async () => {
  // One input column is ten times the others: its weights decide the error.
  const x = noise(64 * 32, 21).map((value, i) => (i % 32 === 0 ? 10 * value : value));
  const bytes = smallModel({
    opset: 17,
    inputs: { x: [64, 32] },
    outputs: ['y'],
    constants: { w: { shape: [32, 64], data: noise(32 * 64, 22, 0.02) } },
    nodes: [{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }],
  });
  const model = await loadModel(toolkit, bytes, { name: 'columns.onnx' });
  const given: Feeds = { x: { dtype: 'f32', shape: [64, 32], data: x } };
  const errorOf = async (clipping: 'mse' | 'output_error'): Promise<number> => {
    const recipe: RecipeInput = { activation: { dtype: 'u16' }, weight: { dtype: 'i4', overrides: { clipping } } };
    const result = await quantize(model, { recipe, calibration: [{ feeds: given }], evaluation: false });
    const db = sqnrDb(await ours(model, given), await ours(result.model, given));
    result.dispose();
    return db;
  };
  assert.ok((await errorOf('output_error')) > (await errorOf('mse')));
  model.dispose();
});

void test('dynamic, per token: rows that differ much in size keep their digits, in onnxruntime too; rows of zeros give zeros', async (context) => {
  const bytes = smallModel({
    opset: 17,
    inputs: { x: [8, 64] },
    outputs: ['y'],
    constants: {
      w: { shape: [64, 64], data: noise(64 * 64, 31) },
      v: { shape: [96, 64], data: noise(64 * 96, 32) },
      b: { shape: [96], data: new Float32Array(96) },
    },
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['m'] },
      { op: 'Gemm', inputs: ['m', 'v', 'b'], outputs: ['y'], attributes: { transB: 1 } },
    ],
  });
  const model = await loadModel(toolkit, bytes, { name: 'rows.onnx' });
  // Rows of 1, 0.1, 0.01 ... and one of zeros: errors of each row weigh the same once it is divided by its size.
  const scales = [1, 0.1, 0.01, 0.001, 0, 10, 100, 1000];
  const x = noise(8 * 64, 33).map((value, i) => value * (scales[Math.floor(i / 64)] as number));
  const given: Feeds = { x: { dtype: 'f32', shape: [8, 64], data: x } };
  const reference = await ours(model, given);
  const worstRow = async (
    granularity: 'per_tensor' | 'per_token',
    target: 'onnxruntime' | 'onnxruntime-web',
  ): Promise<number> => {
    const { result } = await checked(model, { mode: 'dynamic', target, activation: { granularity } }, given);
    const found = await ours(result.model, given);
    result.dispose();
    const rows = scales.map((_, r) => [reference, found].map((values) => Array.from(values).slice(r * 96, r * 96 + 96)));
    assert.deepEqual(rows[4]?.[1], new Array(96).fill(0));
    return Math.min(...rows.map(([a = [], b = []]) => sqnrDb(a, b)).filter((db) => !Number.isNaN(db)));
  };
  const coarse = await worstRow('per_tensor', 'onnxruntime-web');
  for (const target of ['onnxruntime-web', 'onnxruntime'] as const) {
    const fine = await worstRow('per_token', target);
    context.diagnostic(`${target}: the worst row ${coarse.toFixed(1)} dB by one scale, ${fine.toFixed(1)} dB by one each`);
    assert.ok(fine > 35 && fine > coarse + 30);
  }
  model.dispose();
});
