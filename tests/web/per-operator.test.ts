import { test } from 'node:test';
import { loadModel, type Feeds, type Target, type Toolkit } from '../../web/src/node.js';
import { checkGroups } from './support/per-node.js';
import { smallModel, type Attribute, type SmallTensor } from './support/small-model.js';
import { useToolkit } from './support/toolkit.js';

/** Two activations a, b [2, 8, 12, 12] from two convolutions; the operator; a product behind it, so that it lies between codes. */
interface Subject {
  readonly op: string;
  readonly note?: string;
  /** a, b or names of `constants`; [a] where left out. */
  readonly inputs?: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
  readonly constants?: Readonly<Record<string, SmallTensor>>;
  /** Last extent of what it puts out; 12 where left out. */
  readonly last?: number;
  readonly outputs?: number;
  /** Left in float, with codes on both sides. */
  readonly isExcluded?: boolean;
}

let state = 7;
/** Uniform in [-1, 1). */
const next = (): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state >>> 8) / 2 ** 23 - 1;
};
const floats = (...shape: readonly number[]): SmallTensor => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((p, e) => p * e, 1) }, next),
});
const given = (...values: readonly number[]): SmallTensor => ({ shape: [values.length], data: Float32Array.from(values) });
const one = (value: number): SmallTensor => ({ shape: [], data: Float32Array.of(value) });
const ints = (...values: readonly number[]): SmallTensor => ({
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});
const flags: SmallTensor = { shape: [2, 8, 12, 12], data: Uint8Array.from({ length: 2304 }, () => (next() > 0 ? 1 : 0)) };

const resize = (mode: string, transform: string, factors: readonly [number, number]): Subject => ({
  op: 'Resize',
  note: `${mode} ${transform} ${factors.join(' x ')}`,
  inputs: ['a', '', 'scales'],
  attributes: { mode, coordinate_transformation_mode: transform },
  constants: { scales: given(1, 1, ...factors) },
  last: Math.floor(12 * factors[1]),
});

const subjects: readonly Subject[] = [
  {
    op: 'Conv',
    note: 'bias, strides, pads',
    inputs: ['a', 'w', 'c'],
    constants: { w: floats(8, 8, 3, 3), c: floats(8) },
    attributes: { strides: [2, 2], pads: [0, 1, 1, 0] },
    last: 6,
  },
  {
    op: 'Conv',
    note: 'depthwise, dilated',
    inputs: ['a', 'w', 'c'],
    constants: { w: floats(8, 1, 3, 3), c: floats(8) },
    attributes: { group: 8, dilations: [2, 2], pads: [2, 2, 2, 2] },
  },
  { op: 'Conv', note: 'groups, no bias', inputs: ['a', 'w'], constants: { w: floats(8, 4, 1, 1) }, attributes: { group: 2 } },
  {
    op: 'Conv',
    note: 'excluded',
    inputs: ['a', 'w', 'c'],
    constants: { w: floats(8, 8, 3, 3), c: floats(8) },
    attributes: { pads: [1, 1, 1, 1] },
    isExcluded: true,
  },
  { op: 'Conv', note: 'excluded, no bias', inputs: ['a', 'w'], constants: { w: floats(8, 8, 1, 1) }, isExcluded: true },
  {
    op: 'ConvTranspose',
    note: 'small',
    inputs: ['a', 'w', 'c'],
    constants: { w: floats(8, 4, 2, 2), c: floats(4) },
    attributes: { strides: [2, 2] },
    last: 24,
  },
  { op: 'ConvTranspose', note: 'large', inputs: ['a', 'w', 'c'], constants: { w: floats(8, 64, 3, 3), c: floats(64) }, last: 14 },
  {
    op: 'ConvTranspose',
    note: 'groups',
    inputs: ['a', 'w', 'c'],
    constants: { w: floats(8, 64, 3, 3), c: floats(128) },
    attributes: { group: 2 },
    last: 14,
  },
  { op: 'MatMul', note: 'constant', inputs: ['a', 'w'], constants: { w: floats(12, 5) }, last: 5 },
  { op: 'MatMul', note: 'two activations', inputs: ['a', 'b'] },
  { op: 'Add', inputs: ['a', 'b'] },
  { op: 'Add', note: 'constant per channel', inputs: ['a', 'w'], constants: { w: floats(8, 1, 1) } },
  { op: 'Mul', inputs: ['a', 'b'] },
  { op: 'Mul', note: 'constant', inputs: ['a', 'w'], constants: { w: floats(8, 1, 1) } },
  { op: 'Concat', inputs: ['a', 'b'], attributes: { axis: 1 } },
  { op: 'Where', inputs: ['flags', 'a', 'b'], constants: { flags } },
  { op: 'AveragePool', attributes: { kernel_shape: [3, 3], pads: [1, 1, 1, 1] } },
  {
    op: 'AveragePool',
    note: 'pads counted',
    attributes: { kernel_shape: [2, 3], strides: [2, 2], pads: [1, 1, 0, 1], count_include_pad: 1 },
    last: 6,
  },
  { op: 'GlobalAveragePool', last: 1 },
  { op: 'GlobalMaxPool', last: 1 },
  { op: 'LpPool', attributes: { kernel_shape: [3, 3], p: 2 }, last: 10 },
  { op: 'GlobalLpPool', attributes: { p: 1 }, last: 1 },
  { op: 'ReduceMean', inputs: ['a', 'axes'], constants: { axes: ints(2) } },
  { op: 'LeakyRelu', attributes: { alpha: { float: 0.1 } } },
  { op: 'Sigmoid' },
  { op: 'Tanh' },
  { op: 'HardSigmoid', attributes: { alpha: { float: 0.2 } } },
  { op: 'HardSwish' },
  { op: 'Softmax', attributes: { axis: -1 } },
  { op: 'Softmax', note: 'over channels', attributes: { axis: 1 } },
  { op: 'Relu' },
  { op: 'Clip', inputs: ['a', 'low', 'high'], constants: { low: one(-0.3), high: one(0.8) } },
  { op: 'MaxPool', attributes: { kernel_shape: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }, last: 6 },
  { op: 'Reshape', inputs: ['a', 'to'], constants: { to: ints(2, 96, 12) } },
  { op: 'Flatten', last: 1152 },
  { op: 'Transpose', attributes: { perm: [0, 3, 2, 1] }, last: 8 },
  { op: 'Unsqueeze', inputs: ['a', 'axes'], constants: { axes: ints(1) } },
  {
    op: 'Slice',
    inputs: ['a', 'starts', 'ends', 'axes', 'steps'],
    constants: { starts: ints(-1), ends: ints(-11), axes: ints(3), steps: ints(-2) },
    last: 5,
  },
  { op: 'Gather', inputs: ['a', 'rows'], constants: { rows: ints(3, 0, -1, 3) }, attributes: { axis: 3 }, last: 4 },
  { op: 'Expand', inputs: ['a', 'to'], constants: { to: ints(3, 1, 1, 1, 1) } },
  { op: 'Tile', inputs: ['a', 'times'], constants: { times: ints(1, 1, 1, 2) }, last: 24 },
  { op: 'DepthToSpace', attributes: { blocksize: 2 }, last: 24 },
  { op: 'SpaceToDepth', attributes: { blocksize: 2 }, last: 6 },
  { op: 'Pad', inputs: ['a', 'pads'], constants: { pads: ints(0, 0, 1, 2, 0, 0, 0, 1) }, last: 15 },
  {
    op: 'Pad',
    note: 'with a value',
    inputs: ['a', 'pads', 'value'],
    constants: { pads: ints(0, 0, 1, 2, 0, 0, 0, 1), value: one(0.5) },
    last: 15,
  },
  {
    op: 'Pad',
    note: 'reflected',
    inputs: ['a', 'pads'],
    constants: { pads: ints(0, 0, 1, 2, 0, 0, 0, 1) },
    attributes: { mode: 'reflect' },
    last: 15,
  },
  { op: 'Split', attributes: { axis: 1, num_outputs: 2 }, outputs: 2 },
  resize('nearest', 'asymmetric', [2, 2]),
  resize('nearest', 'half_pixel', [1.5, 0.75]),
  resize('linear', 'half_pixel', [2, 2]),
  resize('linear', 'align_corners', [2, 3]),
  resize('linear', 'pytorch_half_pixel', [0.5, 1.5]),
  resize('cubic', 'half_pixel', [2, 2]),
];

let toolkit: Toolkit;
useToolkit((opened) => (toolkit = opened));

function modelBytes({ op, inputs = ['a'], attributes = {}, constants = {}, last = 12, outputs = 1 }: Subject): Uint8Array {
  const found = Array.from({ length: outputs }, (_, i) => `y${i}`);
  return smallModel({
    opset: 18,
    inputs: { x: [2, 4, 12, 12] },
    outputs: found.map((name) => `${name}_out`),
    constants: {
      ...constants,
      wa: floats(8, 4, 1, 1),
      wb: floats(8, 4, 1, 1),
      tail: floats(last, Math.max(64, Math.ceil(4096 / last))),
    },
    nodes: [
      { op: 'Conv', inputs: ['x', 'wa'], outputs: ['a'] },
      ...(inputs.includes('b') ? [{ op: 'Conv', inputs: ['x', 'wb'], outputs: ['b'] }] : []),
      { op, inputs, outputs: found, attributes },
      ...found.map((name) => ({ op: 'MatMul', inputs: [name, 'tail'], outputs: [`${name}_out`] })),
    ],
  });
}

/** `portable` quantizes operators that the default target leaves in float, as onnxruntime has no integer kernel for them. */
const targets: readonly Target[] = ['onnxruntime-web', 'portable'];

for (const subject of subjects) {
  const name = subject.note === undefined ? subject.op : `${subject.op}, ${subject.note}`;
  const isExcluded = subject.isExcluded === true;
  // In a portable file onnxruntime rounds the weights of an excluded layer by itself (src/passes/keep_float_weights.h).
  for (const target of isExcluded ? targets.slice(0, 1) : targets) {
    void test(`${name}, for ${target}: between codes it gives the codes that onnxruntime gives`, async (context) => {
      const model = await loadModel(toolkit, modelBytes(subject), { name: `${subject.op}.onnx` });
      const feeds = Array.from({ length: 16 }, (): Feeds => ({
        x: { dtype: 'f32', shape: [2, 4, 12, 12], data: floats(2, 4, 12, 12).data as Float32Array },
      }));
      try {
        const exclude = isExcluded ? [`${subject.op}_y0`] : [];
        await checkGroups(context, model, feeds, feeds.length, { target, exclude });
      } finally {
        model.dispose();
      }
    });
  }
}
