/** Samples from files and folders: pictures, .npy, .npz, TensorProto .pb. */
import { readFileSync, readdirSync, statSync } from 'node:fs';
import { basename, extname, join, relative } from 'node:path';

import { QuantError } from '../errors.js';
import { readNpy } from '../samples/npy.js';
import { readNpz } from '../samples/npz.js';
import { choosePreprocessing, type ChosenPreprocessing, imagePresets } from '../samples/preprocessing.js';
import type { Toolkit } from '../toolkit.js';
import type { Feeds, Sample, Tensor, ValueInfo } from '../types.js';
import { UsageError } from './exit-codes.js';
import { integer, oneOf, text, texts, threeNumbers, type Values } from './options.js';

const pictureEndings = new Set(['.jpg', '.jpeg', '.png']);
/** Pictures that browsers decode; nothing here does. */
const otherPictureEndings = new Set(['.webp', '.avif', '.gif', '.bmp', '.tif', '.tiff', '.heic', '.heif', '.jxl', '.svg']);
/** The most samples taken from one folder tree; the whole validation set of ImageNet has 50 000. */
const maxSampleFiles = 200_000;

interface FileItem {
  readonly path: string;
  readonly name: string;
}

function endingOf(path: string): string {
  return extname(path).toLowerCase();
}

/** A sample's files: one file, or a folder test_data_set_N with input_0.pb, input_1.pb ... */
type Item =
  | { readonly kind: 'file'; readonly file: FileItem }
  | { readonly kind: 'set'; readonly files: readonly FileItem[]; readonly name: string };

function isSampleFile(path: string): boolean {
  const ending = endingOf(path);
  return pictureEndings.has(ending) || ending === '.npy' || ending === '.npz' || ending === '.pb';
}

/** The samples of a file or folder; pictures of other types below a folder go to `others`. */
export function itemsOf(root: string, maxFiles = maxSampleFiles, others: string[] = []): Item[] {
  let status;
  try {
    status = statSync(root);
  } catch {
    throw new QuantError('io_failed', `${root}: no such file or folder`, root);
  }
  if (status.isFile() && otherPictureEndings.has(endingOf(root)))
    throw new QuantError('bad_data', `${root}: only browsers decode pictures of this type; convert it to JPEG or PNG`, root);
  if (status.isFile() && !isSampleFile(root))
    throw new QuantError('bad_data', `${root}: not a JPEG or PNG picture, .npy, .npz or .pb file`, root);
  if (status.isFile()) return [{ kind: 'file', file: { path: root, name: basename(root) } }];
  const items: Item[] = [];
  const walk = (folder: string): void => {
    const entries = readdirSync(folder, { withFileTypes: true }).sort((a, b) => (a.name < b.name ? -1 : 1));
    const inputs = entries.filter((entry) => entry.isFile() && /^input_\d+\.pb$/.test(entry.name));
    if (inputs.length > 0) {
      const order = (name: string): number => Number(/\d+/.exec(name)?.[0] ?? 0);
      const files = inputs
        .map((entry) => ({ path: join(folder, entry.name), name: entry.name }))
        .sort((a, b) => order(a.name) - order(b.name));
      items.push({ kind: 'set', files, name: relative(root, folder) || basename(folder) });
      return;
    }
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) walk(path);
      else if (entry.isFile() && isSampleFile(path)) items.push({ kind: 'file', file: { path, name: relative(root, path) } });
      else if (entry.isFile() && otherPictureEndings.has(endingOf(path))) others.push(relative(root, path));
      if (items.length + others.length > maxFiles)
        throw new QuantError('limit_exceeded', `${root}: more than ${maxFiles} files; give a smaller folder`);
    }
  };
  walk(root);
  return items;
}

/** At most n items, spread evenly over all of them. */
function spread<T>(items: readonly T[], n: number): T[] {
  if (items.length <= n) return [...items];
  return Array.from({ length: n }, (_, i) => items[Math.floor((i * items.length) / n)] as T);
}

/** Class index by file name, from a CSV whose first two columns are file and index; a header line is allowed. */
export function readLabels(path: string, offset: number): Map<string, number> {
  const labels = new Map<string, number>();
  const lines = readFileSync(path, 'utf8').split(/\r?\n/);
  lines.forEach((line, i) => {
    if (line.trim() === '') return;
    const [file, index] = line.split(',').map((cell) => cell.trim().replace(/^"|"$/g, ''));
    const label = Number(index);
    if (file === undefined || index === undefined || index === '' || !Number.isInteger(label)) {
      if (i === 0) return;
      throw new QuantError('bad_data', `${path}: line ${i + 1} is not 'file,class_index'`, path);
    }
    labels.set(file, label + offset);
  });
  if (labels.size === 0) throw new QuantError('bad_data', `${path}: no labels found`, path);
  return labels;
}

/** A stream's frames or an array's rows: a .npy with one more axis than the input, or a larger first axis, holds many samples. */
function rowsOf(tensor: Tensor, input: ValueInfo, name: string): Tensor[] {
  const wanted = input.shape;
  if (wanted === null || tensor.shape.length === 0) return [tensor];
  const rest = (axes: readonly number[], n: number): boolean =>
    axes.length === n &&
    axes.every((extent, i) => (wanted[wanted.length - n + i] ?? -1) < 0 || wanted[wanted.length - n + i] === extent);
  const split = (shape: readonly number[]): Tensor[] => {
    const n = tensor.shape[0] ?? 0;
    const step = n === 0 ? 0 : tensor.data.length / n;
    return Array.from({ length: n }, (_, i) => ({
      dtype: tensor.dtype,
      shape,
      data: tensor.data.slice(i * step, (i + 1) * step) as typeof tensor.data,
    }));
  };
  if (tensor.shape.length === wanted.length + 1 && rest(tensor.shape.slice(1), wanted.length))
    return split(tensor.shape.slice(1));
  if (tensor.shape.length === wanted.length) {
    const first = wanted[0] ?? -1;
    const isBatch = (first === 1 || first < 0) && (tensor.shape[0] ?? 1) > 1 && input.dimNames[0] !== 'time';
    return isBatch && rest(tensor.shape.slice(1), wanted.length - 1) ? split([1, ...tensor.shape.slice(1)]) : [tensor];
  }
  if (tensor.shape.length === wanted.length - 1 && rest(tensor.shape, wanted.length - 1)) {
    return [{ ...tensor, shape: [1, ...tensor.shape] }];
  }
  throw new QuantError(
    'bad_data',
    `${name}: shape [${tensor.shape.join(',')}] does not fit input '${input.name}' [${wanted.join(',')}]`,
    name,
  );
}

export interface SampleSet {
  readonly count: number;
  readonly hasLabels: boolean;
  /** Read anew, one at a time, each time it is walked. */
  readonly samples: { readonly length: number; [Symbol.asyncIterator](): AsyncIterator<Sample> };
  readonly source: string;
  readonly preprocessing: ChosenPreprocessing | null;
  readonly warnings: readonly string[];
}

/**
 * What `--calibrate` names, as samples of this model.
 *
 * @throws UsageError, QuantError `io_failed`, `bad_data`, `invalid_argument`
 */
export function collectSamples(toolkit: Toolkit, inputs: readonly ValueInfo[], values: Values): SampleSet {
  const roots = texts(values, 'calibrate');
  const limit = integer(values, 'limit', { min: 1, max: maxSampleFiles }) ?? maxSampleFiles;
  const others: string[] = [];
  const found = roots.flatMap((root) => itemsOf(root, maxSampleFiles, others));
  const [other] = others;
  const left =
    other === undefined
      ? ''
      : `${others.length} picture${others.length === 1 ? '' : 's'} that only browsers decode (${other}${others.length > 1 ? ' ...' : ''})`;
  if (found.length === 0)
    throw new QuantError(
      'bad_data',
      `${roots.join(', ')}: no JPEG or PNG picture, .npy, .npz or .pb file found${left && `, but ${left}; convert them`}`,
    );
  const items = spread(found, limit);
  const labelPath = text(values, 'labels');
  const labels =
    labelPath === undefined
      ? undefined
      : readLabels(labelPath, integer(values, 'label-offset', { min: -100_000, max: 100_000 }) ?? 0);
  const hasPictures = items.some((item) => item.kind === 'file' && pictureEndings.has(endingOf(item.file.path)));
  const preprocessing = hasPictures ? choosePreprocessing(inputs, preprocessingChoice(values)) : null;
  const warnings = [...(preprocessing?.warnings ?? [])];
  if (left !== '') warnings.push(`left out ${left}: convert to JPEG or PNG`);
  if (labels !== undefined) {
    const n = items.filter((item) => item.kind === 'file' && labelOf(labels, item.file.name) !== undefined).length;
    if (n === 0) throw new QuantError('bad_data', `${labelPath}: none of the ${items.length} sample files is listed`, labelPath);
    if (n < items.length) warnings.push(`${items.length - n} of ${items.length} samples have no label`);
  }
  async function* walk(): AsyncGenerator<Sample> {
    for (const item of items) {
      if (item.kind === 'set') {
        const feeds: Record<string, Tensor> = {};
        for (const [i, file] of item.files.entries()) {
          const { name, tensor } = await readTensorFile(toolkit, file, item.name);
          const key = inputs.some((input) => input.name === name) ? name : inputs[i]?.name;
          if (key === undefined) throw new QuantError('bad_data', `${item.name}: more inputs than the model has`, item.name);
          feeds[key] = tensor;
        }
        yield { feeds, name: item.name };
      } else {
        yield* samplesOfFile(toolkit, inputs, item.file, preprocessing, labels);
      }
    }
  }
  return {
    count: items.length,
    hasLabels: labels !== undefined,
    samples: { length: items.length, [Symbol.asyncIterator]: walk },
    source: `${items.length} file${items.length === 1 ? '' : 's'} of ${roots.map((root) => basename(root)).join(', ')}`,
    preprocessing,
    warnings,
  };
}

async function readTensorFile(toolkit: Toolkit, file: FileItem, folder = ''): Promise<{ name: string; tensor: Tensor }> {
  try {
    return await toolkit.call('readTensorProto', { bytes: readFileSync(file.path) });
  } catch (error) {
    if (!(error instanceof QuantError)) throw error;
    const name = join(folder, file.name);
    throw new QuantError(error.code, `${name}: ${error.message}`, name);
  }
}

function labelOf(labels: Map<string, number>, name: string): number | undefined {
  return labels.get(name) ?? labels.get(basename(name)) ?? labels.get(basename(name, extname(name)));
}

async function* samplesOfFile(
  toolkit: Toolkit,
  inputs: readonly ValueInfo[],
  file: FileItem,
  preprocessing: ChosenPreprocessing | null,
  labels: Map<string, number> | undefined,
): AsyncGenerator<Sample> {
  const ending = endingOf(file.path);
  const label = labels === undefined ? undefined : labelOf(labels, file.name);
  const extra = { name: file.name, ...(label !== undefined && { label }) };
  const bytes = readFileSync(file.path);
  if (pictureEndings.has(ending) && preprocessing !== null) {
    yield { image: bytes, input: preprocessing.input, preprocessing: preprocessing.preprocessing, ...extra };
    return;
  }
  if (ending === '.npz') {
    yield* batches(inputs, readNpz(bytes, file.name), extra);
    return;
  }
  const tensor = ending === '.npy' ? readNpy(bytes, file.name) : (await readTensorFile(toolkit, file)).tensor;
  const input = inputs[0];
  if (input === undefined) throw new QuantError('bad_data', 'the model has no inputs');
  for (const row of rowsOf(tensor, input, file.name)) yield { feeds: { [input.name]: row }, ...extra };
}

/** The arrays of one .npz: one sample, or as many as all of them have rows. */
function* batches(
  inputs: readonly ValueInfo[],
  arrays: Feeds,
  extra: { readonly name: string; readonly label?: number },
): Generator<Sample> {
  const unknown = Object.keys(arrays).find((key) => !inputs.some((input) => input.name === key));
  if (unknown !== undefined) {
    throw new QuantError(
      'bad_data',
      `${extra.name}: '${unknown}' is not an input; the inputs are ${inputs.map((i) => i.name).join(', ')}`,
      extra.name,
    );
  }
  const rows = Object.entries(arrays).map(([key, tensor]) => ({
    key,
    rows: rowsOf(tensor, inputs.find((i) => i.name === key) as ValueInfo, extra.name),
  }));
  const n = Math.max(...rows.map((column) => column.rows.length));
  if (rows.some((column) => column.rows.length !== n && column.rows.length !== 1)) {
    throw new QuantError('bad_data', `${extra.name}: the arrays hold different numbers of samples`, extra.name);
  }
  for (let i = 0; i < n; ++i) {
    yield {
      feeds: Object.fromEntries(rows.map(({ key, rows: column }) => [key, column[column.length === 1 ? 0 : i] as Tensor])),
      ...extra,
    };
  }
}

function preprocessingChoice(values: Values): Parameters<typeof choosePreprocessing>[1] {
  const preset = oneOf(values, 'preprocess', Object.keys(imagePresets) as (keyof typeof imagePresets)[]);
  const mean = threeNumbers(values, 'mean');
  const std = threeNumbers(values, 'std');
  const resize = integer(values, 'resize', { min: 0, max: 65536 });
  const color = oneOf(values, 'color', ['rgb', 'bgr', 'grey'] as const);
  const given = text(values, 'crop');
  let crop: readonly [number, number] | undefined;
  if (given !== undefined) {
    const sides = given.split('x').map(Number);
    const [h, w = h] = sides;
    if (h === undefined || w === undefined || !Number.isInteger(h) || !Number.isInteger(w) || h < 1 || w < 1) {
      throw new UsageError(`--crop is '${given}'; a size as 224 or 240x320 (height x width) is needed`);
    }
    crop = [h, w];
  }
  return {
    ...(preset && { preset }),
    ...(mean && { mean }),
    ...(std && { std }),
    ...(resize !== undefined && { resize }),
    ...(color && { color }),
    ...(crop && { crop }),
  };
}

/** `--feedback OUT=IN` as input by output. */
export function feedbackOf(values: Values): Record<string, string> {
  const feedback: Record<string, string> = {};
  for (const pair of texts(values, 'feedback')) {
    const [output, input, ...rest] = pair.split('=');
    if (!output || !input || rest.length > 0) throw new UsageError(`--feedback is '${pair}'; OUT=IN is needed`);
    feedback[input] = output;
  }
  return feedback;
}
