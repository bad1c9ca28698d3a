/** ONNX files made by hand, field by field, so that tests do not lean on our own writer. */
import { bytesField, integer, joined } from '../../support/wire.js';

/** Numbers of element types in a file. */
export const onnxTypes = { f32: 1, i8: 3, i16: 5, i32: 6, i64: 7 } as const;
export type OnnxType = keyof typeof onnxTypes;

export interface NodeSpec {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly ints?: Readonly<Record<string, readonly number[]>>;
  readonly floats?: Readonly<Record<string, number>>;
}

/** A node of a graph. */
export function nodeField({ op, inputs, outputs, ints = {}, floats = {} }: NodeSpec): Uint8Array {
  const ofInts = Object.entries(ints).map(([name, list]) =>
    joined([bytesField(1, name), ...list.map((value) => integer(8, value)), integer(20, 7)]),
  );
  const ofFloats = Object.entries(floats).map(([name, value]) => {
    const real = new Uint8Array(Float32Array.of(value).buffer);
    return joined([bytesField(1, name), Uint8Array.of((2 << 3) | 5), real, integer(20, 1)]);
  });
  return bytesField(
    1,
    joined([
      ...inputs.map((name) => bytesField(1, name)),
      ...outputs.map((name) => bytesField(2, name)),
      bytesField(3, outputs[0] ?? op),
      bytesField(4, op),
      ...[...ofInts, ...ofFloats].map((attribute) => bytesField(5, attribute)),
    ]),
  );
}

/** A constant of a graph. */
export function initializerField(name: string, type: OnnxType, shape: readonly number[], values: ArrayBufferView): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const dims = shape.map((extent) => integer(1, extent));
  return bytesField(5, joined([...dims, integer(2, onnxTypes[type]), bytesField(8, name), bytesField(9, bytes)]));
}

/** What an input or output of a graph is. */
export function valueInfo(name: string, shape: readonly number[], type: OnnxType = 'f32'): Uint8Array {
  const dims = joined(shape.map((extent) => bytesField(1, integer(1, extent))));
  const typed = bytesField(1, joined([integer(1, onnxTypes[type]), bytesField(2, dims)]));
  return joined([bytesField(1, name), bytesField(2, typed)]);
}

/** A file of one graph, whose fields are given. */
export function modelFile(fields: readonly Uint8Array[], { ir = 8, opset = 17 } = {}): Uint8Array {
  const graph = joined([...fields, bytesField(2, 'graph')]);
  return joined([integer(1, ir), bytesField(7, graph), bytesField(8, integer(2, opset))]);
}

/** A model of opset 17 with float values of shape [1, 4], and at most one weight, which counts up from 0. */
export function graphModel(
  nodes: readonly NodeSpec[],
  inputs: readonly string[],
  outputs: readonly string[],
  weight?: { readonly name: string; readonly shape: readonly number[] },
): Uint8Array {
  const fields = nodes.map(nodeField);
  if (weight !== undefined) {
    const values = Float32Array.from({ length: weight.shape.reduce((a, b) => a * b, 1) }, (_, i) => i);
    fields.push(initializerField(weight.name, 'f32', weight.shape, values));
  }
  return modelFile([
    ...fields,
    ...inputs.map((name) => bytesField(11, valueInfo(name, [1, 4]))),
    ...outputs.map((name) => bytesField(12, valueInfo(name, [1, 4]))),
  ]);
}
