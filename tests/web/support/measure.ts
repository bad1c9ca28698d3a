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
