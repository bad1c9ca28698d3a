/** Copies of a file with a few random changes each, the same for the same seed: bytes set, cut out, doubled, sizes made extreme. */
export function* mutations(whole: Uint8Array, count: number, seed: number): Generator<Uint8Array> {
  let state = seed >>> 0;
  // Numerical Recipes' linear congruential generator; its high bits are taken.
  const below = (n: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const extremes = [0, 1, 0x7f, 0x80, 0xff];
  for (let i = 0; i < count; ++i) {
    let bytes = whole.slice();
    for (let changes = 1 + below(4); changes > 0 && bytes.length > 0; --changes) {
      const at = below(bytes.length);
      switch (below(5)) {
        case 0:
          bytes[at] = below(256);
          break;
        case 1:
          bytes[at] = (bytes[at] as number) ^ (1 << below(8));
          break;
        case 2:
          bytes.fill(extremes[below(extremes.length)] as number, at, at + 1 + below(4));
          break;
        case 3: {
          const end = Math.min(bytes.length, at + 1 + below(16));
          bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(end)]);
          break;
        }
        default:
          bytes = Uint8Array.from([...bytes.subarray(0, at), ...bytes.subarray(at, at + 8), ...bytes.subarray(at)]);
      }
    }
    yield bytes;
  }
}
