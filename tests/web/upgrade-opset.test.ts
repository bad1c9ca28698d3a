/**
 * Raising the opset keeps what a model computes: models of one operator, in each of its modes, as they are and as they are after they
 * were raised, both in onnxruntime-node without its own rewriting. A product beside the operator asks for the opset: its weight is
 * stored by a scheme that needs it. Each case also runs with its input behind an Identity, so that no shape is declared there.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { loadModel, quantize, type Feeds, QuantError, type Tensor, type Toolkit } from '../../web/src/node.js';
import { openRuntime } from './support/onnxruntime.js';
import { f32, seeded } from './support/shared-inputs.js';
import { smallModel, type Attribute, type SmallNode, type SmallTensor } from './support/small-model.js';
import { useToolkit } from './support/toolkit.js';

/** A scheme that asks for each opset. onnxruntime-node has no kernels for those that ask for 23 and more. */
const schemes = { 10: 'i8_tensor', 13: 'i8', 19: 'f8e4m3fn', 21: 'i8_b32' } as const;
type Opset = keyof typeof schemes;
const opsets = [10, 13, 19, 21] as const satisfies readonly Opset[];

interface Case {
  readonly opset: number;
  readonly attributes?: Readonly<Record<string, Attribute>>;
  /** Inputs after the first, in order; null: left out. */
  readonly constants?: readonly (SmallTensor | null)[];
  readonly shape?: readonly number[];
  readonly outputs?: number;
  /** Element type in which the operator computes. */
  readonly type?: 'f64';
  /** From this opset on it cannot be raised: what the error says. */
  readonly refused?: readonly [from: number, what: RegExp];
}

const random = seeded(7);
const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);
const floats = (...shape: readonly number[]): SmallTensor => ({
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, () => 2 * random() - 1),
});
const positive = (...shape: readonly number[]): SmallTensor => ({
  shape,
  data: Float32Array.from({ length: sizeOf(shape) }, () => 0.1 + random()),
});
const reals = (...values: readonly number[]): SmallTensor => ({ shape: [values.length], data: Float32Array.from(values) });
const ints = (...values: readonly number[]): SmallTensor => ({
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const matrix = (rows: number, values: SmallTensor): SmallTensor => ({
  ...values,
  shape: [rows, sizeOf(values.shape) / rows],
});
const real = (float: number): { readonly float: number } => ({ float });

const usual = [2, 3, 4, 5];
const factors = [
  [1, 1, 2, 3],
  [1, 1, 0.5, 0.6],
  [1, 1, 1, 1],
  [1, 1, 2, 0.5],
  [1, 1, 1.5, 2.3],
  [1, 1, 0.37, 0.81],
];
const isMixed = (scales: readonly number[]): boolean => Math.min(...scales) < 1 && Math.max(...scales) > 1;
const normalization = (): SmallTensor[] => [floats(3), floats(3), floats(3), positive(3)];
const rows = (opset: number): Case[] =>
  (opset < 11 ? [0, 1, 2, 3] : [0, 1, 2, 3, -1, -2, -4]).map((axis) => ({ opset, attributes: { axis } }));
const reductions = (opset: number): Case[] => [
  { opset },
  { opset, attributes: { axes: [1] } },
  { opset, attributes: { axes: [0, 2], keepdims: 0 } },
  { opset, attributes: { axes: [1, 3], keepdims: 1 } },
  ...(opset < 11 ? [] : [{ opset, attributes: { axes: [-1] } }]),
];
const nearestModes = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'];
const transforms = ['half_pixel', 'pytorch_half_pixel', 'align_corners', 'asymmetric'];

function resizes(opset: number): Case[] {
  const cases: Case[] = [];
  const add = (mode: string, transform: string, nearest: string): void => {
    const attributes = { mode, coordinate_transformation_mode: transform, ...(mode === 'nearest' && { nearest_mode: nearest }) };
    const refused = transform === 'tf_half_pixel_for_nn' ? { refused: [13, /tf_half_pixel_for_nn was removed/] as const } : {};
    const roi = opset < 13 ? reals() : null;
    const noScales = opset < 13 ? reals() : null;
    for (const scales of [reals(1, 1, 2, 1.5), reals(1, 1, 0.5, 0.7)])
      cases.push({ opset, attributes, constants: [roi, scales], ...refused });
    cases.push({ opset, attributes, constants: [roi, noScales, ints(2, 3, 7, 3)], ...refused });
  };
  for (const transform of transforms) {
    for (const nearest of nearestModes) add('nearest', transform, nearest);
    add('linear', transform, '');
    add('cubic', transform, '');
  }
  if (opset < 13) add('nearest', 'tf_half_pixel_for_nn', 'floor');
  return cases;
}

const onTwo = (cases: (opset: number) => Case[], ...from: readonly number[]): Case[] => from.flatMap(cases);

const cases: Readonly<Record<string, readonly Case[]>> = {
  Slice: [
    { opset: 7, attributes: { starts: [1, -3], ends: [3, 2 ** 31], axes: [1, 3] } },
    { opset: 9, attributes: { starts: [0, 1, 0], ends: [1, -1, 100] } },
  ],
  Clip: onTwo(
    (opset) =>
      [{}, { min: real(-0.5) }, { max: real(0.5) }, { min: real(-0.2), max: real(0.4) }].map((attributes) => ({
        opset,
        attributes,
      })),
    7,
    10,
  ),
  Pad: [
    ...onTwo(
      (opset) =>
        ['constant', 'reflect', 'edge'].flatMap((mode) =>
          [0, 1.5].map((value) => ({ opset, attributes: { mode, pads: [0, 0, 1, 2, 0, 0, 1, 1], value: real(value) } })),
        ),
      7,
      10,
    ),
    { opset: 7, attributes: { pads: [0, 0, -1, 2, 0, 0, 1, 1], value: real(2) }, type: 'f64' },
    { opset: 11, constants: [ints(0, 0, 1, 2, 0, 0, 1, 1), { shape: [], data: Float32Array.of(1.5) }] },
    { opset: 13, constants: [ints(0, 0, 1, 2, 0, 0, 1, 1)], attributes: { mode: 'reflect' } },
  ],
  Dropout: onTwo((opset) => [{ opset }, { opset, attributes: { ratio: real(0.3) } }], 7, 10),
  Softmax: onTwo(rows, 7, 11, 12),
  LogSoftmax: onTwo(rows, 7, 11, 12),
  Hardmax: onTwo(rows, 7, 11, 12),
  Squeeze: onTwo(
    (opset) => [
      { opset, shape: [1, 3, 1], attributes: { axes: [0] } },
      { opset, shape: [1, 3, 1] },
    ],
    7,
    11,
    12,
  ),
  Unsqueeze: onTwo((opset) => [{ opset, shape: [3, 2], attributes: { axes: [0, 3] } }], 7, 11, 12),
  Split: [
    ...onTwo(
      (opset) => [
        { opset, shape: [2, 6], attributes: { axis: 1 }, outputs: 3 },
        { opset, shape: [2, 6], attributes: { axis: 1, split: [1, 5] }, outputs: 2 },
        { opset, shape: [6, 2], outputs: 2 },
      ],
      7,
      11,
      12,
    ),
    { opset: 13, shape: [2, 6], attributes: { axis: 1 }, outputs: 3 },
    { opset: 17, shape: [2, 6], attributes: { axis: 1 }, constants: [ints(2, 4)], outputs: 2 },
  ],
  ReduceSum: [...onTwo(reductions, 7, 11, 12), { opset: 13, constants: [ints(1)] }],
  ...Object.fromEntries(
    ['L1', 'L2', 'LogSum', 'LogSumExp', 'Max', 'Mean', 'Min', 'Prod', 'SumSquare'].map((name) => [
      `Reduce${name}`,
      onTwo(reductions, 7, 11, 12, 13, 17),
    ]),
  ),
  Upsample: ['nearest', 'linear'].flatMap((mode) =>
    factors
      .filter((scales) => Math.min(...scales) >= 1)
      .map((scales) => ({ opset: 9, attributes: { mode }, constants: [reals(...scales)] })),
  ),
  Resize: [
    ...['nearest', 'linear'].flatMap((mode) =>
      factors.map((scales): Case => ({
        opset: 10,
        attributes: { mode },
        constants: [reals(...scales)],
        ...(mode === 'nearest' && isMixed(scales) && { refused: [11, /grows along one axis and shrinks along another/] }),
      })),
    ),
    ...onTwo(resizes, 11, 13, 18),
  ],
  TopK: [
    ...onTwo(
      (opset) => [
        { opset, attributes: { k: 2, axis: 1 } },
        { opset, attributes: { k: 3 } },
      ],
      7,
      9,
    ),
    { opset: 10, constants: [ints(3)] },
  ],
  Scatter: [{ opset: 9, shape: [3, 3], attributes: { axis: 1 }, constants: [matrix(2, ints(0, 2, 1, 0)), floats(2, 2)] }],
  BatchNormalization: [
    { opset: 7, attributes: { epsilon: real(1e-3) }, constants: normalization() },
    { opset: 7, attributes: { spatial: 1 }, constants: normalization() },
    { opset: 9, constants: normalization() },
  ],
  RoiAlign: ['avg', 'max'].map((mode) => ({
    opset: 10,
    shape: [1, 2, 8, 8],
    attributes: { mode, output_height: 2, output_width: 3, sampling_ratio: mode === 'max' ? 1 : 2, spatial_scale: real(0.5) },
    constants: [matrix(2, reals(0, 0, 7, 7, 2, 1, 12, 9)), ints(0, 0)],
  })),
  GridSample: ['bilinear', 'nearest', 'bicubic'].flatMap((mode) =>
    ['zeros', 'border', 'reflection'].map((padding) => ({
      opset: 16,
      shape: [1, 2, 5, 5],
      attributes: { mode, padding_mode: padding },
      constants: [floats(1, 3, 4, 2)],
    })),
  ),
  DFT: [{}, { axis: 1 }, { axis: 2 }, { axis: 1, onesided: 1 }].map((attributes) => ({
    opset: 17,
    shape: [2, 8, 4, 1],
    attributes,
  })),
  GroupNormalization: [
    {
      opset: 18,
      shape: [2, 6, 3, 3],
      attributes: { num_groups: 3, epsilon: real(1e-4) },
      constants: [floats(3), floats(3)],
    },
  ],
};

let toolkit: Toolkit;
useToolkit((opened) => (toolkit = opened));

const product = [1, 32] as const;

function modelBytes(op: string, one: Case, isDeclared: boolean): Uint8Array {
  const { opset, attributes = {}, constants = [], shape = usual, outputs = 1, type } = one;
  const names = Array.from({ length: outputs }, (_, i) => `y${i}`);
  const inner = type === undefined ? names : names.map((name) => `${name}_${type}`);
  const nodes: SmallNode[] = [];
  let input = 'x';
  if (!isDeclared) nodes.push({ op: 'Identity', inputs: [input], outputs: [(input = 'x_same')] });
  if (type !== undefined) nodes.push({ op: 'Cast', inputs: [input], outputs: [(input = 'x_cast')], attributes: { to: 11 } });
  nodes.push({
    op,
    inputs: [input, ...constants.map((constant, i) => (constant === null ? '' : `c${i}`))],
    outputs: op === 'TopK' ? [...inner, 'places'] : inner,
    attributes,
  });
  if (type !== undefined)
    for (const [i, name] of names.entries())
      nodes.push({ op: 'Cast', inputs: [inner[i] ?? ''], outputs: [name], attributes: { to: 1 } });
  nodes.push({ op: 'MatMul', inputs: ['p', 'weight'], outputs: ['z'] });
  return smallModel({
    opset,
    inputs: { x: shape, p: product },
    outputs: [...names, 'z'],
    constants: {
      ...Object.fromEntries(constants.flatMap((constant, i) => (constant === null ? [] : [[`c${i}`, constant]]))),
      weight: floats(32, 32),
    },
    nodes,
  });
}

async function outputsOf(bytes: Uint8Array, feeds: Feeds): Promise<Record<string, Tensor>> {
  const runtime = await openRuntime('onnxruntime-node', bytes, { isVerbatim: true });
  try {
    return await runtime.run(feeds);
  } finally {
    await runtime.close();
  }
}

/** The same operator by another version of its kernel: the order of sums is free. */
const tolerance = 1e-5;

function assertSame(before: Record<string, Tensor>, after: Record<string, Tensor>): void {
  for (const [name, { shape, data }] of Object.entries(before)) {
    if (name === 'z') continue;
    const found = after[name];
    assert.deepEqual(found?.shape, shape, `shape of ${name}`);
    for (let i = 0; i < data.length; ++i) {
      const [a, b] = [Number(data[i]), Number(found?.data[i])];
      assert.ok(
        Object.is(a, b) || Math.abs(a - b) <= tolerance + tolerance * Math.abs(a),
        `${name}[${i}] was ${a} and became ${b}`,
      );
    }
  }
}

const raise = async (bytes: Uint8Array, target: Opset, to: 'portable' | 'onnxruntime' = 'portable') => {
  const model = await loadModel(toolkit, bytes);
  try {
    const recipe = {
      mode: 'weight_only',
      target: to,
      include: ['MatMul_z'],
      foldBatchNorm: false,
      weight: { scheme: schemes[target] },
    } as const;
    const result = await quantize(model, { recipe, evaluation: false, allowLarger: true });
    try {
      return { bytes: result.bytes, opset: result.report.after.opset };
    } finally {
      result.dispose();
    }
  } finally {
    model.dispose();
  }
};

for (const [op, list] of Object.entries(cases)) {
  void test(`${op}: raised to a newer opset it computes the same`, async (context) => {
    const counts = { raised: 0, refused: 0 };
    for (const one of list) {
      const what = `${op} of opset ${one.opset} ${JSON.stringify({ ...one, constants: undefined })}`;
      for (const isDeclared of [true, false]) {
        const bytes = modelBytes(op, one, isDeclared);
        const next = seeded(99);
        // Logarithms are taken of positive numbers.
        const shift = op === 'ReduceLogSum' ? 1.1 : 0;
        const feeds = { x: f32(one.shape ?? usual, () => 2 * next() - 1 + shift), p: f32(product, next) };
        let original: Record<string, Tensor>;
        try {
          original = await outputsOf(bytes, feeds);
        } catch (error) {
          throw new Error(`${what}: onnxruntime does not run the original`, { cause: error });
        }
        for (const target of opsets.filter((opset) => opset > one.opset)) {
          const step = `${what} to ${target}${isDeclared ? '' : ', shapes not declared'}`;
          if (one.refused !== undefined && target >= one.refused[0]) {
            await assert.rejects(raise(bytes, target), (error) => {
              assert.ok(error instanceof QuantError && error.code === 'unsupported', step);
              assert.match(error.message, (one.refused as [number, RegExp])[1], step);
              assert.equal(error.subject, `node '${op}_y0' (${op})`);
              return true;
            });
            counts.refused += 1;
            continue;
          }
          try {
            const raised = await raise(bytes, target);
            assert.equal(raised.opset, target);
            assertSame(original, await outputsOf(raised.bytes, feeds));
          } catch (error) {
            throw new Error(`${step}: ${(error as Error).message}`, { cause: error });
          }
          counts.raised += 1;
        }
      }
    }
    context.diagnostic(`${op}: ${counts.raised} raised and equal, ${counts.refused} refused by name`);
    assert.ok(counts.raised > 0);
  });
}

void test('a node that cannot be raised: the onnxruntime targets keep the opset', async () => {
  const one = resizes(11).find(({ refused }) => refused !== undefined) as Case;
  const bytes = modelBytes('Resize', one, true);
  const next = seeded(99);
  const feeds = { x: f32(usual, next), p: f32(product, next) };
  const kept = await raise(bytes, 13, 'onnxruntime');
  assert.equal(kept.opset, 11);
  assertSame(await outputsOf(bytes, feeds), await outputsOf(kept.bytes, feeds));
});
