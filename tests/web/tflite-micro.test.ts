/**
 * The golden vectors of TFLite Micro's layers (seanet). All of them have 16-bit activations, so that none is for our integer kernels,
 * which take 8 bits: the layers are written as QDQ models and run as such, reals between codes. TFLite Micro multiplies by 16-bit
 * multipliers there and may be one code apart; what only moves codes must be equal.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { createSession, loadModel, openToolkit, type Tensor, type Toolkit } from '../../web/src/node.js';
import { bytesField } from '../support/wire.js';
import { initializerField, modelFile, nodeField, type NodeSpec, type OnnxType, valueInfo } from './support/onnx-file.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { firstOperator, type TfliteOperator, type TfliteTensor } from './support/tflite-file.js';

const pack = 'data/conformance/tflite_micro_and_quantizer_tests.tar.gz';
const member = 'tensorflow/lite/micro/integration_tests/seanet';

type Attributes = Pick<NodeSpec, 'ints' | 'floats'>;

/** A graph that grows by nodes; values are named by whoever makes them. */
class Graph {
  private readonly fields: Uint8Array[] = [];
  private n = 0;

  constant(type: OnnxType, shape: readonly number[], values: ArrayBufferView): string {
    const name = `constant${this.n++}`;
    this.fields.push(initializerField(name, type, shape, values));
    return name;
  }
  node(op: string, inputs: readonly string[], attributes: Attributes = {}, output = `value${this.n++}`): string {
    this.fields.push(nodeField({ op, inputs, outputs: [output], ...attributes }));
    return output;
  }
  model(inputs: Readonly<Record<string, TfliteTensor>>, output: TfliteTensor): Uint8Array {
    const ends = Object.entries(inputs).map(([name, { shape, type }]) => bytesField(11, valueInfo(name, shape, type)));
    return modelFile([...this.fields, ...ends, bytesField(12, valueInfo('y', output.shape, output.type))], { ir: 10, opset: 21 });
  }

  real(codes: string, { scales }: TfliteTensor): string {
    return this.node('DequantizeLinear', [codes, this.constant('f32', [], Float32Array.of(scales[0] ?? 0))]);
  }
  codes(real: string, { scales }: TfliteTensor, output?: string): string {
    const zero = this.constant('i16', [], Int16Array.of(0));
    return this.node('QuantizeLinear', [real, this.constant('f32', [], Float32Array.of(scales[0] ?? 0)), zero], {}, output);
  }
}

const copied = (bytes: Uint8Array): ArrayBuffer => Uint8Array.from(bytes).buffer;
const integers = ({ bytes }: TfliteTensor): number[] => [...new Int32Array(copied(bytes))];

/** Weights [out][height][width][in] with a scale for each output channel, as reals in the order of `axes`. */
function weights({ shape, scales, bytes }: TfliteTensor, axes: readonly number[]): { shape: number[]; values: Float32Array } {
  const strides = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const turned = axes.map((axis) => shape[axis] ?? 0);
  const values = new Float32Array(bytes.length);
  const codes = new Int8Array(copied(bytes));
  for (let i = 0; i < values.length; ++i) {
    let [left, from, channel] = [i, 0, 0];
    for (let d = axes.length - 1; d >= 0; --d) {
      const at = left % (turned[d] ?? 1);
      left = Math.floor(left / (turned[d] ?? 1));
      from += at * (strides[axes[d] ?? 0] ?? 0);
      if (axes[d] === 0) channel = at;
    }
    values[i] = (codes[from] ?? 0) * (scales[channel] ?? 0);
  }
  return { shape: turned, values };
}

const toFirst = { ints: { perm: [0, 3, 1, 2] } };
const toLast = { ints: { perm: [0, 2, 3, 1] } };
const unfused = (operator: TfliteOperator, field: number): void => {
  assert.equal(operator.optionInt8(field), 0, 'no fused activation is expected');
};

/** Adds what the operator does between `x0`, `x1` and `y`. True where the result must be equal. */
function build(graph: Graph, kind: string, operator: TfliteOperator): boolean {
  const [first, second, third, fourth] = operator.inputs;
  assert.ok(first !== undefined);
  const { output } = operator;
  if (kind === 'conv' || kind === 'transpose_conv') {
    const isTransposed = kind === 'transpose_conv';
    const [x, w, bias] = isTransposed ? [third, second, fourth] : [first, second, third];
    assert.ok(x !== undefined && w !== undefined && bias !== undefined);
    unfused(operator, 3);
    assert.equal(operator.optionInt8(0), 1, 'padding is VALID');
    const real = graph.node('Transpose', [graph.real(isTransposed ? 'x1' : 'x0', x)], toFirst);
    const { shape, values } = weights(w, isTransposed ? [3, 0, 1, 2] : [0, 3, 1, 2]);
    const sums = [...new BigInt64Array(copied(bias.bytes))].map((sum, i) => Number(sum) * (bias.scales[i] ?? 0));
    const inputs = [real, graph.constant('f32', shape, values), graph.constant('f32', [sums.length], Float32Array.from(sums))];
    const strides = [operator.optionInt32(2), operator.optionInt32(1)];
    const dilations = isTransposed ? [1, 1] : [operator.optionInt32(5, 1), operator.optionInt32(4, 1)];
    const made = graph.node(isTransposed ? 'ConvTranspose' : 'Conv', inputs, { ints: { strides, dilations } });
    graph.codes(graph.node('Transpose', [made], toLast), output, 'y');
    return false;
  }
  if (kind === 'add' || kind === 'sub') {
    assert.ok(second !== undefined);
    unfused(operator, 0);
    const reals = [graph.real('x0', first), graph.real('x1', second)];
    graph.codes(graph.node(kind === 'add' ? 'Add' : 'Sub', reals), output, 'y');
    return false;
  }
  if (kind === 'leaky_relu') {
    const floats = { alpha: operator.optionFloat(0) };
    graph.codes(graph.node('LeakyRelu', [graph.real('x0', first)], { floats }), output, 'y');
    return false;
  }
  if (kind === 'quantize') {
    graph.codes(graph.real('x0', first), output, 'y');
    return false;
  }
  const list = (values: readonly number[]): string =>
    graph.constant('i64', [values.length], BigInt64Array.from(values.map(BigInt)));
  assert.ok(second !== undefined);
  if (kind === 'pad') {
    const pads = integers(second);
    const ends = (end: number): number[] => pads.filter((_, i) => i % 2 === end);
    graph.node('Pad', ['x0', list([...ends(0), ...ends(1)])], {}, 'y');
    return true;
  }
  assert.ok(kind === 'strided_slice' && third !== undefined && fourth !== undefined);
  const [begins, ends, steps] = [integers(second), integers(third), integers(fourth)];
  const [beginMask, endMask] = [operator.optionInt32(0), operator.optionInt32(1)];
  for (const field of [2, 3, 4]) assert.equal(operator.optionInt32(field), 0, 'plain slices are expected');
  const starts = begins.map((begin, i) => ((beginMask >> i) & 1 ? 0 : begin));
  const stops = ends.map((end, i) => ((endMask >> i) & 1 ? (first.shape[i] ?? 0) : end));
  graph.node('Slice', ['x0', list(starts), list(stops), list(begins.map((_, i) => i)), list(steps)], {}, 'y');
  return true;
}

const skip = whyNotShared(pack);
let folder = '';
let toolkit: Toolkit;
before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'bitwright-tflite-'));
  execFileSync('tar', ['-xzf', sharedPath(pack), '-C', folder, member]);
  toolkit = await openToolkit();
});
after(async () => {
  if (skip !== false) return;
  rmSync(folder, { recursive: true, force: true });
  assert.equal(await toolkit.liveHandles(), 0);
  await toolkit.dispose();
});

const kinds = ['conv', 'transpose_conv', 'add', 'sub', 'leaky_relu', 'pad', 'strided_slice', 'quantize'];
for (const kind of kinds) {
  void test(`TFLite Micro: golden vectors of ${kind}`, { skip }, async (context) => {
    const at = join(folder, member, kind);
    let [n, nCodes, nApart] = [0, 0, 0];
    for (const file of readdirSync(at).filter((name) => name.endsWith('.tflite'))) {
      const name = file.replace('.tflite', '');
      const operator = firstOperator(new Uint8Array(readFileSync(join(at, file))));
      if (operator.output.type !== 'i16') {
        context.diagnostic(`${name}: its codes have 32 bits, which QuantizeLinear does not make`);
        continue;
      }
      const values = (part: string): number[] =>
        readFileSync(join(at, `${name}_${part}.csv`), 'utf8')
          .split(',')
          .map(Number);
      const graph = new Graph();
      const isExact = build(graph, kind, operator);
      const feeds: Record<string, Tensor> = {};
      const inputs: Record<string, TfliteTensor> = {};
      for (const [i, place] of operator.fed.entries()) {
        const tensor = operator.inputs[place];
        assert.ok(tensor !== undefined);
        if (kind === 'transpose_conv' && place === 0) continue; // the result's shape, which the graph implies
        const data = values(`input${i}_${tensor.type === 'i32' ? 'int32' : 'int16'}`);
        inputs[`x${i}`] = tensor;
        feeds[`x${i}`] = {
          dtype: tensor.type as 'i16' | 'i32',
          shape: [...tensor.shape],
          data: tensor.type === 'i32' ? Int32Array.from(data) : Int16Array.from(data),
        };
      }
      const model = await loadModel(toolkit, graph.model(inputs, operator.output), { name: `${name}.onnx` });
      const session = await createSession(model);
      const { y } = await session.run(feeds);
      const golden = values('golden_int16');
      assert.ok(y !== undefined && y.data instanceof Int16Array);
      assert.deepEqual(y.shape, operator.output.shape, name);
      assert.equal(y.data.length, golden.length, name);
      for (const [i, code] of golden.entries()) {
        const apart = Math.abs(code - (y.data[i] ?? 0));
        assert.ok(apart <= (isExact ? 0 : 1), `${name}, code ${i}: ${y.data[i]}, golden ${code}`);
        nApart += apart;
      }
      [n, nCodes] = [n + 1, nCodes + golden.length];
      session.dispose();
      model.dispose();
    }
    context.diagnostic(`${kind}: ${n} layers, ${nCodes} codes, ${nApart} one apart`);
    assert.ok(n > 0);
  });
}
