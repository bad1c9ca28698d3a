/** Small ONNX files made on the bytes, with attributes and constants of every kind that the tests need. */
import { bytesField, integer, joined } from '../../support/wire.js';

export type Attribute = number | string | readonly number[] | { readonly float: number };

export interface SmallNode {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly attributes?: Readonly<Record<string, Attribute>>;
}

export interface SmallTensor {
  readonly shape: readonly number[];
  readonly data: Float32Array | BigInt64Array | Uint8Array;
}

export interface SmallModel {
  readonly opset: number;
  readonly inputs: Readonly<Record<string, readonly number[]>>;
  readonly outputs: readonly string[];
  readonly constants: Readonly<Record<string, SmallTensor>>;
  readonly nodes: readonly SmallNode[];
}

/** Field 2 of an attribute is a 32-bit float. */
const floatField = (value: number): Uint8Array =>
  joined([Uint8Array.of((2 << 3) | 5), new Uint8Array(Float32Array.of(value).buffer)]);

function attributeBytes(name: string, value: Attribute): Uint8Array {
  const parts = [bytesField(1, name)];
  if (typeof value === 'number') parts.push(integer(3, value < 0 ? BigInt.asUintN(64, BigInt(value)) : value), integer(20, 2));
  else if (typeof value === 'string') parts.push(bytesField(4, value), integer(20, 3));
  else if ('float' in value) parts.push(floatField(value.float), integer(20, 1));
  else parts.push(...value.map((one) => integer(8, one < 0 ? BigInt.asUintN(64, BigInt(one)) : one)), integer(20, 7));
  return bytesField(5, joined(parts));
}

function nodeBytes({ op, inputs, outputs, attributes = {} }: SmallNode): Uint8Array {
  return joined([
    ...inputs.map((name) => bytesField(1, name)),
    ...outputs.map((name) => bytesField(2, name)),
    bytesField(3, `${op}_${outputs[0] ?? ''}`),
    bytesField(4, op),
    ...Object.entries(attributes).map(([name, value]) => attributeBytes(name, value)),
  ]);
}

function tensorBytes(name: string, { shape, data }: SmallTensor): Uint8Array {
  const elementType = data instanceof Float32Array ? 1 : data instanceof BigInt64Array ? 7 : 9;
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return joined([...shape.map((extent) => integer(1, extent)), integer(2, elementType), bytesField(8, name), bytesField(9, raw)]);
}

/** Inputs and outputs are float32; a Uint8Array holds booleans. */
export function smallModel({ opset, inputs, outputs, constants, nodes }: SmallModel): Uint8Array {
  const valueInfo = (name: string, shape?: readonly number[]): Uint8Array => {
    const dims = shape === undefined ? [] : [bytesField(2, joined(shape.map((extent) => bytesField(1, integer(1, extent)))))];
    return joined([bytesField(1, name), bytesField(2, bytesField(1, joined([integer(1, 1), ...dims])))]);
  };
  const graph = joined([
    ...nodes.map((node) => bytesField(1, nodeBytes(node))),
    bytesField(2, 'small'),
    ...Object.entries(constants).map(([name, tensor]) => bytesField(5, tensorBytes(name, tensor))),
    ...Object.entries(inputs).map(([name, shape]) => bytesField(11, valueInfo(name, shape))),
    ...outputs.map((name) => bytesField(12, valueInfo(name))),
  ]);
  return joined([integer(1, 8), bytesField(8, joined([bytesField(1, ''), integer(2, opset)])), bytesField(7, graph)]);
}
