// ONNX files of one product each, written field by field: what the benchmarks of products run on every engine.

const varint = (value) => {
  const bytes = [];
  for (let rest = BigInt(value); ; rest >>= 7n) {
    bytes.push(Number(rest & 127n) | (rest > 127n ? 128 : 0));
    if (rest <= 127n) return Uint8Array.from(bytes);
  }
};
const join = (parts) => {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
};
const number = (field, value) => join([varint(field << 3), varint(value)]);
const bytes = (field, value) => join([varint((field << 3) | 2), varint(value.length), value]);
const text = (field, value) => bytes(field, new TextEncoder().encode(value));

const types = { f32: 1, u8: 2, i8: 3, i32: 6 };
const valueInfo = (name, type, shape) => {
  const dims = shape.map((extent) => bytes(1, number(1, extent)));
  return join([text(1, name), bytes(2, bytes(1, join([number(1, types[type]), bytes(2, join(dims))])))]);
};
const tensor = (name, type, shape, data) =>
  join([
    ...shape.map((extent) => number(1, extent)),
    number(2, types[type]),
    text(8, name),
    bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ]);
const node = (opType, inputs, outputs, { domain = '', ints = {}, lists = {} } = {}) =>
  join([
    ...inputs.map((name) => text(1, name)),
    ...outputs.map((name) => text(2, name)),
    text(3, outputs[0]),
    text(4, opType),
    ...Object.entries(ints).map(([name, value]) => bytes(5, join([text(1, name), number(3, value), number(20, 2)]))),
    ...Object.entries(lists).map(([name, values]) =>
      bytes(5, join([text(1, name), ...values.map((value) => number(8, value)), number(20, 7)])),
    ),
    ...(domain === '' ? [] : [text(7, domain)]),
  ]);
const model = (nodes, initializers, input, output) =>
  join([
    number(1, 8),
    bytes(
      7,
      join([
        ...nodes.map((one) => bytes(1, one)),
        text(2, 'product'),
        ...initializers.map((one) => bytes(5, one)),
        bytes(11, input),
        bytes(12, output),
      ]),
    ),
    bytes(8, number(2, 17)),
    bytes(8, join([text(1, 'com.microsoft'), number(2, 1)])),
  ]);

const noise = (n, make) => {
  let state = 2026;
  return make.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return make === Float32Array ? state / 2 ** 31 - 1 : state >>> 24;
  });
};

/** 4-bit codes of n rows of k, two in a byte, zero at 8. */
export const fourBitCodes = ({ n, k }) => noise((n * k) / 2, Uint8Array);
/** A scale for each row. */
export const rowScales = ({ n }) => noise(n, Float32Array).map(Math.abs);

/**
 * x [m, k] times 4-bit weights in blocks along k, which quantize their activations to 8 bits where the engine can. `isByRow`: all
 * blocks of a row have its scale.
 */
export function fourBits({ m, n, k, block, isByRow = false, bits = 4 }) {
  const blocks = k / block;
  const nbits = node('MatMulNBits', ['x', 'w', 's'], ['y'], {
    domain: 'com.microsoft',
    ints: { K: k, N: n, bits, block_size: block, accuracy_level: 4 },
  });
  const codes = bits === 4 ? fourBitCodes({ n, k }) : noise((n * k * bits) / 8, Uint8Array);
  const weights = tensor('w', 'u8', [n, blocks, (block * bits) / 8], codes);
  const ofRows = rowScales({ n });
  const ofBlocks = isByRow ? Float32Array.from({ length: n * blocks }, (_, i) => ofRows[Math.floor(i / blocks)]) : undefined;
  const scales = tensor('s', 'f32', [n * blocks], ofBlocks ?? noise(n * blocks, Float32Array));
  return model([nbits], [weights, scales], valueInfo('x', 'f32', [m, k]), valueInfo('y', 'f32', [m, n]));
}

/** x [m, k] quantized at the run, times 8-bit weights, in int32. */
export function dynamicInt8({ m, n, k }) {
  const nodes = [
    node('DynamicQuantizeLinear', ['x'], ['q', 'q_scale', 'q_zero']),
    node('MatMulInteger', ['q', 'w', 'q_zero', 'w_zero'], ['y']),
  ];
  const constants = [tensor('w', 'i8', [k, n], noise(k * n, Int8Array)), tensor('w_zero', 'i8', [], Int8Array.of(0))];
  return model(nodes, constants, valueInfo('x', 'f32', [m, k]), valueInfo('y', 'i32', [m, n]));
}

/** x [m, k] times a constant, in float. */
export function float({ m, n, k }) {
  return model(
    [node('MatMul', ['x', 'w'], ['y'])],
    [tensor('w', 'f32', [k, n], noise(k * n, Float32Array))],
    valueInfo('x', 'f32', [m, k]),
    valueInfo('y', 'f32', [m, n]),
  );
}

/** The signs of x [m, k] times weights of one magnitude; in ternary ones a third is 0. */
export function signs({ m, n, k, isTernary }) {
  const weights = noise(k * n, Float32Array).map((v) => (isTernary && Math.abs(v) < 1 / 3 ? 0 : Math.sign(v) / 32));
  return model(
    [node('Sign', ['x'], ['s']), node('MatMul', ['s', 'w'], ['y'])],
    [tensor('w', 'f32', [k, n], weights)],
    valueInfo('x', 'f32', [m, k]),
    valueInfo('y', 'f32', [m, n]),
  );
}

/** As fourBits, with codes of 2 bits. */
export const twoBits = (of) => fourBits({ ...of, bits: 2 });

/** What the convolutions below share: square, of stride 1, padded; x and y are [1, channels, size, size]. */
const conv = ({ channels, outputs, kernel, size, groups }) => ({
  shape: [outputs, channels / groups, kernel, kernel],
  n: (outputs * channels * kernel * kernel) / groups,
  attributes: { ints: { group: groups }, lists: { kernel_shape: [kernel, kernel], pads: Array(4).fill(kernel >> 1) } },
  ends: [valueInfo('x', 'f32', [1, channels, size, size]), valueInfo('y', 'f32', [1, outputs, size, size])],
});

/** A convolution in float, with bias and Relu. */
export function floatConv(of) {
  const { shape, n, attributes, ends } = conv(of);
  const bias = tensor('b', 'f32', [of.outputs], noise(of.outputs, Float32Array));
  return model(
    [node('Conv', ['x', 'w', 'b'], ['c'], attributes), node('Relu', ['c'], ['y'])],
    [tensor('w', 'f32', shape, noise(n, Float32Array)), bias],
    ...ends,
  );
}

/** The same as mode dynamic writes it: integers that are made at the run. */
export function dynamicConv(of) {
  const { shape, n, attributes, ends } = conv(of);
  const perChannel = (name) => tensor(name, 'f32', [1, of.outputs, 1, 1], noise(of.outputs, Float32Array));
  const nodes = [
    node('DynamicQuantizeLinear', ['x'], ['q', 'q_scale', 'q_zero']),
    node('ConvInteger', ['q', 'w', 'q_zero', 'w_zero'], ['acc'], attributes),
    node('Cast', ['acc'], ['acc_float'], { ints: { to: types.f32 } }),
    node('Mul', ['q_scale', 'w_scale'], ['scale']),
    node('Mul', ['acc_float', 'scale'], ['product']),
    node('Add', ['product', 'b'], ['c']),
    node('Relu', ['c'], ['y']),
  ];
  const weight = [tensor('w', 'u8', shape, noise(n, Uint8Array)), tensor('w_zero', 'u8', [], Uint8Array.of(128))];
  return model(nodes, [...weight, perChannel('w_scale'), perChannel('b')], ...ends);
}

export const activations = ({ m, k }) => noise(m * k, Float32Array);
