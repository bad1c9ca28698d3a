/** Some real inputs for the models of ../shared, prepared as its manifest says; few: they show how a model runs, not how good it is. */
import { readdirSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { choosePreprocessing, type Feeds, type Model } from '../../../web/src/node.js';
import { sharedPath } from './shared.js';

type Choice = NonNullable<Parameters<typeof choosePreprocessing>[1]>;

/** Pictures of a folder of ../shared/data, spread over it. */
export const pictures =
  (folder: string, choice: Choice) =>
  async (model: Model, count: number): Promise<Feeds[]> => {
    const { input, preprocessing } = choosePreprocessing(model.info.inputs, choice);
    const names = readdirSync(sharedPath('data', folder))
      .filter((name) => name.endsWith('.jpg'))
      .sort();
    const feeds: Feeds[] = [];
    for (let i = 0; i < count; ++i) {
      const name = names[Math.floor((i * names.length) / count)] ?? '';
      const bytes = new Uint8Array(readFileSync(sharedPath('data', folder, name)));
      const sample = { kind: 'image', bytes, name, input, preprocessing } as const;
      feeds.push({ [input]: await model.toolkit.call('preprocess', { sample }) });
    }
    return feeds;
  };

/** Records of bytes in one file, each of which makes one input. */
const records =
  (
    path: string,
    headBytes: number,
    recordBytes: number,
    skipBytes: number,
    shape: readonly number[],
    valueOf: (byte: number) => number,
  ) =>
  (model: Model, count: number): Promise<Feeds[]> => {
    const stored = readFileSync(sharedPath('data', path));
    const all = path.endsWith('.gz') ? gunzipSync(stored) : stored;
    const total = Math.floor((all.length - headBytes) / recordBytes);
    const feeds = Array.from({ length: count }, (_, i): Feeds => {
      const begin = headBytes + Math.floor((i * total) / count) * recordBytes;
      const data = Float32Array.from(all.subarray(begin + skipBytes, begin + recordBytes), valueOf);
      return { [model.info.inputs[0]?.name ?? '']: { dtype: 'f32', shape, data } };
    });
    return Promise.resolve(feeds);
  };

export const mnistDigits = records('mnist/t10k-images-idx3-ubyte.gz', 16, 784, 0, [1, 1, 28, 28], (byte) => byte);
export const cifarPictures = records('cifar10/cifar10_test_1000.bin', 0, 3073, 1, [1, 3, 32, 32], (byte) => byte);
export const keywordFeatures = records(
  'kws/kws01_dev_features_int8.bin',
  0,
  490,
  0,
  [1, 1, 49, 10],
  (byte) => (((byte << 24) >> 24) - 83) * 0.5847029,
);

/** Seeded values in [-1, 1), the same on every machine. */
function makeRandom(): () => number {
  let state = 2026;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (state >>> 8) / 2 ** 23 - 1;
  };
}

const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

export const noise =
  (shape: readonly number[]) =>
  (model: Model, count: number): Promise<Feeds[]> => {
    const next = makeRandom();
    const name = model.info.inputs[0]?.name ?? '';
    const one = (): Feeds => ({ [name]: { dtype: 'f32', shape, data: Float32Array.from({ length: sizeOf(shape) }, next) } });
    return Promise.resolve(Array.from({ length: count }, one));
  };

/** Seeded token numbers below `limit` for the first input; ones for the others (masks). */
export const tokens =
  (shape: readonly number[], dtype: 'i32' | 'i64', limit: number) =>
  (model: Model, count: number): Promise<Feeds[]> => {
    const next = makeRandom();
    const one = (): Feeds =>
      Object.fromEntries(
        model.info.inputs.map(({ name }, i) => {
          const values = Array.from({ length: sizeOf(shape) }, () => (i === 0 ? Math.floor(((next() + 1) / 2) * limit) : 1));
          return [name, { dtype, shape, data: dtype === 'i64' ? BigInt64Array.from(values, BigInt) : Int32Array.from(values) }];
        }),
      );
    return Promise.resolve(Array.from({ length: count }, one));
  };
