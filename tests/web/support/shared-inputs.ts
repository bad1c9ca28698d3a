/** Inputs for the models of ../shared/models, as its MANIFEST.md describes them: real data where it has some, else seeded numbers. */
import { readFileSync, readdirSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { Feeds, ImagePreprocessing, Model, Tensor } from '../../../web/src/node.js';
import { sharedPath } from './shared.js';

/** Numbers in [0, 1), the same on every machine (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const product = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1);

export const f32 = (shape: readonly number[], values: (i: number) => number): Tensor => ({
  dtype: 'f32',
  shape,
  data: Float32Array.from({ length: product(shape) }, (_, i) => values(i)),
});

const i64 = (shape: readonly number[], values: (i: number) => number): Tensor => ({
  dtype: 'i64',
  shape,
  data: BigInt64Array.from({ length: product(shape) }, (_, i) => BigInt(values(i))),
});

export interface Labelled {
  readonly feeds: Feeds;
  readonly label?: number;
}

type Pixels = Pick<ImagePreprocessing, 'scale' | 'mean' | 'std'>;
const three = (value: number): readonly [number, number, number] => [value, value, value];
export const minus1To1: Pixels = { scale: 255, mean: three(127.5), std: three(127.5) };
export const imagenet: Pixels = { scale: 1, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] };
export const zeroTo1: Pixels = { scale: 1, mean: three(0), std: three(1) };

export const zeroTo255: Pixels = { scale: 255, mean: three(0), std: three(1) };

interface PictureOptions {
  readonly input: string;
  readonly pixels: Pixels;
  readonly height: number;
  readonly width: number;
  readonly resize: number;
  readonly color?: ImagePreprocessing['color'];
  readonly labelOffset?: number;
}

/** Photographs of data/imagenet256, spread over all of the folder. */
export async function pictures(
  model: Model,
  folder: 'calib' | 'eval',
  count: number,
  options: PictureOptions,
): Promise<Labelled[]> {
  const path = sharedPath('data/imagenet256', folder);
  const labels = new Map(
    readFileSync(`${path}/labels.csv`, 'utf8')
      .split('\n')
      .map((line) => line.split(','))
      .map(([file = '', index]) => [file, Number(index)] as const),
  );
  const names = readdirSync(path)
    .filter((name) => /\.jpe?g$/i.test(name))
    .sort();
  const { input, pixels, height, width, resize, color = 'rgb', labelOffset = 0 } = options;
  const preprocessing: ImagePreprocessing = {
    ...pixels,
    resize,
    cropHeight: height,
    cropWidth: width,
    resampling: 'bicubic',
    color,
    layout: 'nchw',
  };
  const list: Labelled[] = [];
  for (let i = 0; i < Math.min(count, names.length); ++i) {
    const name = names[Math.floor((i * names.length) / Math.min(count, names.length))] ?? '';
    const bytes = new Uint8Array(readFileSync(`${path}/${name}`));
    const tensor = await model.toolkit.call('preprocess', { sample: { kind: 'image', bytes, name, input, preprocessing } });
    list.push({ feeds: { [input]: tensor }, label: (labels.get(name) ?? Number.NaN) + labelOffset });
  }
  return list;
}

export function mnist(from: number, count: number): Labelled[] {
  const folder = sharedPath('data/mnist');
  const names = readdirSync(folder);
  const unpack = (part: string) => gunzipSync(readFileSync(`${folder}/${names.find((name) => name.includes(part)) ?? part}`));
  const [images, labels] = [unpack('images'), unpack('labels')];
  return Array.from({ length: count }, (_, k) => ({
    feeds: { Input3: f32([1, 1, 28, 28], (i) => images[16 + (from + k) * 784 + i] as number) },
    label: labels[8 + from + k] as number,
  }));
}

export function cifar(from: number, count: number): Labelled[] {
  const bytes = readFileSync(sharedPath('data/cifar10/cifar10_test_1000.bin'));
  return Array.from({ length: count }, (_, k) => ({
    feeds: { input: f32([1, 3, 32, 32], (i) => bytes[(from + k) * 3073 + 1 + i] as number) },
    label: bytes[(from + k) * 3073] as number,
  }));
}

export function keywords(from: number, count: number): Labelled[] {
  const folder = sharedPath('data/kws');
  const names = readdirSync(folder);
  const codes = new Int8Array(readFileSync(`${folder}/${names.find((name) => !name.endsWith('.csv')) ?? ''}`));
  const rows = readFileSync(`${folder}/${names.find((name) => name.endsWith('.csv')) ?? ''}`, 'utf8')
    .trim()
    .split('\n');
  const first = rows.length > 500 ? 1 : 0;
  return Array.from({ length: count }, (_, k) => {
    const cells = (rows[first + from + k] ?? '').split(',');
    const label =
      cells
        .map((cell) => cell.trim())
        .filter((cell) => /^\d+$/.test(cell))
        .map(Number)
        .at(-1) ?? Number.NaN;
    return { feeds: { input: f32([1, 1, 49, 10], (i) => ((codes[(from + k) * 490 + i] as number) - 83) * 0.5847029) }, label };
  });
}

/** Samples of a 16-bit mono file, in -1 .. 1. */
export function speech(name = 'silero_test.wav'): Float32Array {
  const bytes = readFileSync(sharedPath('data/audio', name));
  return Float32Array.from({ length: (bytes.length - 44) >> 1 }, (_, i) => bytes.readInt16LE(44 + 2 * i) / 32768);
}

/** |DFT| of n real samples, for frequencies from 0 to n / 2. */
const magnitudes = (sampleAt: (k: number) => number, n: number): Float32Array =>
  Float32Array.from({ length: n / 2 + 1 }, (_, frequency) => {
    let [re, im] = [0, 0];
    for (let k = 0; k < n; ++k) {
      const angle = (2 * Math.PI * frequency * k) / n;
      re += sampleAt(k) * Math.cos(angle);
      im += sampleAt(k) * Math.sin(angle);
    }
    return Math.hypot(re, im);
  });

/** `count` independent samples of a model that has no pictures of its own, by its file name. */
export function numbersFor(file: string, count: number): Labelled[] {
  const random = seeded(2026);
  const wave = /silero|pitch|melspectrogram|dtln/.test(file) ? speech() : new Float32Array(0);
  const window = (i: number, n: number) => {
    const start = Math.floor((i * (wave.length - n)) / count);
    return (k: number) => wave[start + k] ?? 0;
  };
  const makers: Readonly<Record<string, (i: number) => Feeds>> = {
    'silero_vad.onnx': (i) => ({
      input: f32([1, 576], window(i, 576)),
      state: f32([2, 1, 128], () => 0),
      sr: { dtype: 'i64', shape: [], data: BigInt64Array.of(16000n) },
    }),
    'silero_vad_16k_op15.onnx': (i) => ({
      input: f32([1, 576], window(i, 576)),
      state: f32([2, 1, 128], () => 0),
      sr: { dtype: 'i64', shape: [], data: BigInt64Array.of(16000n) },
    }),
    'oww_melspectrogram.onnx': (i) => {
      const at = window(i, 12400);
      return { input: f32([1, 12400], (k) => at(k) * 32767) };
    },
    'oww_embedding.onnx': () => ({ input_1: f32([1, 76, 32, 1], () => random() * 4) }),
    'oww_alexa_v0.1.onnx': () => ({ 'onnx::Flatten_0': f32([1, 16, 96], () => random() * 20 - 10) }),
    'dtln_1.onnx': (i) => ({
      input_2: { dtype: 'f32', shape: [1, 1, 257], data: magnitudes(window(i, 512), 512) },
      input_3: f32([1, 2, 128, 2], () => random() - 0.5),
    }),
    'dtln_2.onnx': (i) => ({
      input_4: f32([1, 1, 512], window(i, 512)),
      input_5: f32([1, 2, 128, 2], () => random() - 0.5),
    }),
    'basic_pitch_nmp.onnx': (i) => ({ 'serving_default_input_2:0': f32([1, 43844, 1], window(i, 43844)) }),
    'magika_standard_v3_3.onnx': (i) => ({ bytes: magikaTokens(i) }),
    'stories260K.onnx': () => ({ input_ids: i64([1, 24], (k) => (k === 0 ? 1 : 3 + Math.floor(random() * 500))) }),
    'tiny_bert_random.onnx': () => ({
      input_ids: i64([1, 16], () => Math.floor(random() * 100)),
      attention_mask: i64([1, 16], () => 1),
    }),
  };
  const make = makers[file];
  if (make === undefined) throw new Error(`no inputs are known for ${file}`);
  return Array.from({ length: count }, (_, i) => ({ feeds: make(i) }));
}

function magikaTokens(i: number): Tensor {
  const folder = sharedPath('data/magika');
  const bytes = readFileSync(`${folder}/${readdirSync(folder).find((name) => /\.(bin|u16)$/.test(name)) ?? ''}`);
  const at = (i % Math.floor(bytes.length / 4096)) * 4096;
  return { dtype: 'i32', shape: [1, 2048], data: Int32Array.from({ length: 2048 }, (_, k) => bytes.readUInt16LE(at + 2 * k)) };
}

/** The files of data/magika, each with the number of its label. */
export function magikaFiles(): Labelled[] {
  const rows = readFileSync(sharedPath('data/magika', 'magika_standard_v3_3_dev_labels.csv'), 'utf8').trim().split('\n').slice(1);
  return rows.map((row) => {
    const [index, , label] = row.split(',');
    return { feeds: { bytes: magikaTokens(Number(index)) }, label: Number(label) };
  });
}
