import type { Tensor } from '../../../web/src/node.js';

/** 10 log10(sum x^2 / sum (x - y)^2) in dB over float64; Infinity where they are equal. */
export function sqnrDb(reference: ArrayLike<number>, other: ArrayLike<number>): number {
  let signal = 0;
  let noise = 0;
  for (let i = 0; i < reference.length; ++i) {
    const x = reference[i] as number;
    signal += x * x;
    noise += (x - (other[i] as number)) ** 2;
  }
  return noise === 0 ? Infinity : 10 * Math.log10(signal / noise);
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted.length === 0 ? Number.NaN : (sorted[Math.floor((sorted.length - 1) / 2)] as number);
}

export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; ++i) if ((values[i] as number) > (values[best] as number)) best = i;
  return best;
}

export function numbers(tensor: Tensor | undefined): ArrayLike<number> {
  if (tensor === undefined) throw new Error('an output is missing');
  if (tensor.data instanceof BigInt64Array || tensor.data instanceof BigUint64Array) return Array.from(tensor.data, Number);
  return tensor.data as Exclude<Tensor['data'], BigInt64Array | BigUint64Array>;
}

const halfOf = (bits: number): number => {
  const [exponent, mantissa] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent === 0 ? mantissa * 2 ** -24 : exponent === 31 ? (mantissa === 0 ? Infinity : Number.NaN) : 0;
  return (bits & 0x8000 ? -1 : 1) * (exponent % 31 === 0 ? size : (1 + mantissa / 1024) * 2 ** (exponent - 15));
};
const word = new DataView(new ArrayBuffer(4));
const bfloatOf = (bits: number): number => {
  word.setUint32(0, bits * 65536);
  return word.getFloat32(0);
};
const notNumbers: Readonly<Partial<Record<Tensor['dtype'], (bits: number) => boolean>>> = {
  e8m0: (bits) => bits === 0xff,
  f8e4m3fn: (bits) => (bits & 0x7f) === 0x7f,
  f8e5m2: (bits) => (bits & 0x7f) > 0x7c,
  f8e4m3fnuz: (bits) => bits === 0x80,
  f8e5m2fnuz: (bits) => bits === 0x80,
};

/** Elements as values that compare: halves as reals, 64-bit integers whole, smaller floats by their bits with one NaN. */
export function realsOf({ dtype, data }: Tensor): ArrayLike<number | bigint | string> {
  if (dtype === 'f16') return Array.from(data as Uint16Array, halfOf);
  if (dtype === 'bf16') return Array.from(data as Uint16Array, bfloatOf);
  const isNotNumber = notNumbers[dtype];
  if (isNotNumber !== undefined) return Array.from(data as Uint8Array, (bits) => (isNotNumber(bits) ? Number.NaN : bits));
  return data;
}
