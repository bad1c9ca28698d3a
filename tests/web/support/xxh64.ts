/** XXH64 with seed 0, as its specification has it (github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md), in plain big integers. */
const primes = [0x9e3779b185ebca87n, 0xc2b2ae3d27d4eb4fn, 0x165667b19e3779f9n, 0x85ebca77c2b2ae63n, 0x27d4eb2f165667c5n] as const;
const [p1, p2, p3, p4, p5] = primes;

const u64 = (value: bigint): bigint => BigInt.asUintN(64, value);
const rotated = (value: bigint, by: bigint): bigint => u64((value << by) | (value >> (64n - by)));
const round = (sum: bigint, lane: bigint): bigint => u64(rotated(u64(sum + lane * p2), 31n) * p1);

export function xxh64(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  let hash: bigint;
  if (bytes.length >= 32) {
    const sums = [u64(p1 + p2), p2, 0n, u64(-p1)];
    for (; at + 32 <= bytes.length; at += 32)
      for (let k = 0; k < 4; ++k) sums[k] = round(sums[k] as bigint, view.getBigUint64(at + 8 * k, true));
    const [a, b, c, d] = sums as [bigint, bigint, bigint, bigint];
    hash = u64(rotated(a, 1n) + rotated(b, 7n) + rotated(c, 12n) + rotated(d, 18n));
    for (const sum of sums) hash = u64((hash ^ round(0n, sum)) * p1 + p4);
  } else {
    hash = p5;
  }
  hash = u64(hash + BigInt(bytes.length));
  for (; at + 8 <= bytes.length; at += 8) hash = u64(rotated(hash ^ round(0n, view.getBigUint64(at, true)), 27n) * p1 + p4);
  if (at + 4 <= bytes.length) {
    hash = u64(rotated(hash ^ u64(BigInt(view.getUint32(at, true)) * p1), 23n) * p2 + p3);
    at += 4;
  }
  for (; at < bytes.length; ++at) hash = u64(rotated(hash ^ u64(BigInt(bytes[at] as number) * p5), 11n) * p1);
  hash = u64((hash ^ (hash >> 33n)) * p2);
  hash = u64((hash ^ (hash >> 29n)) * p3);
  return (hash ^ (hash >> 32n)).toString(16).padStart(16, '0');
}
