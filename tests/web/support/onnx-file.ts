/** ONNX files made by hand, byte by byte, so that tests do not lean on our own writer. */

export const concat = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let left = value;
  while (left > 127) {
    bytes.push((left % 128) | 128);
    left = Math.floor(left / 128);
  }
  bytes.push(left);
  return Uint8Array.from(bytes);
}

export const intField = (field: number, value: number): Uint8Array => concat(varint(field * 8), varint(value));
export const bytesField = (field: number, value: Uint8Array): Uint8Array =>
  concat(varint(field * 8 + 2), varint(value.length), value);
export const textField = (field: number, text: string): Uint8Array => bytesField(field, new TextEncoder().encode(text));

export interface NodeSpec {
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

const nodeBytes = ({ op, inputs, outputs }: NodeSpec): Uint8Array =>
  concat(
    ...inputs.map((name) => textField(1, name)),
    ...outputs.map((name) => textField(2, name)),
    textField(3, outputs[0] ?? op),
    textField(4, op),
  );

/** A float input or output. */
export function valueInfo(name: string, shape: readonly number[]): Uint8Array {
  const dims = shape.map((extent) => bytesField(1, intField(1, extent)));
  return concat(textField(1, name), bytesField(2, bytesField(1, concat(intField(1, 1), bytesField(2, concat(...dims))))));
}

/** A model of opset 17 with float values of shape [1, 4], and at most one weight, which counts up from 0. */
export function graphModel(
  nodes: readonly NodeSpec[],
  inputs: readonly string[],
  outputs: readonly string[],
  weight?: { readonly name: string; readonly shape: readonly number[] },
): Uint8Array {
  const parts = [...nodes.map((node) => bytesField(1, nodeBytes(node))), textField(2, 'graph')];
  if (weight !== undefined) {
    const values = Float32Array.from({ length: weight.shape.reduce((a, b) => a * b, 1) }, (_, i) => i);
    const tensor = concat(
      ...weight.shape.map((extent) => intField(1, extent)),
      intField(2, 1),
      textField(8, weight.name),
      bytesField(9, new Uint8Array(values.buffer)),
    );
    parts.push(bytesField(5, tensor));
  }
  parts.push(
    ...inputs.map((name) => bytesField(11, valueInfo(name, [1, 4]))),
    ...outputs.map((name) => bytesField(12, valueInfo(name, [1, 4]))),
  );
  return concat(intField(1, 8), bytesField(7, concat(...parts)), bytesField(8, intField(2, 17)));
}
