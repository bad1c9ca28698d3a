/** The packs of test models in ../shared/data/conformance. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor, Toolkit } from '../../../web/src/node.js';
import type * as Ort from 'onnxruntime-common';
import { sharedPath } from './shared.js';
import { seeded } from './shared-inputs.js';

const folder = 'data/conformance';

/** 709 models of ONNX Runtime's own tests, and which of them onnxruntime-node 1.30 loads. */
export const runtimeModels = `${folder}/onnxruntime_testdata.tar.gz`;
export const runtimeStatus = `${folder}/onnxruntime_testdata_ort_status.csv`;
/** The tests that each ONNX backend is asked to pass: 1546 of one node, and whole networks. */
export const backendTests = `${folder}/onnx_backend_tests.tar.gz`;
export const backendStatus = `${folder}/onnx_node_tests_ort_status.csv`;

/** A pack in a folder of its own while `work` runs. */
export async function unpacked<T>(pack: string, work: (folder: string) => Promise<T>): Promise<T> {
  const target = mkdtempSync(join(tmpdir(), 'bitwright-conformance-'));
  try {
    execFileSync('tar', ['-xzf', sharedPath(pack), '-C', target]);
    return await work(target);
  } finally {
    rmSync(target, { recursive: true });
  }
}

/** Paths of all models of one kind below a folder, from there. */
export const modelsBelow = (target: string, ending: '.onnx' | '.ort'): string[] =>
  readdirSync(target, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(ending))
    .sort();

/** Operators of each model, joined by '+'. */
export const operatorsBy = (table: string): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(sharedPath(table), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => [line.slice(0, line.indexOf(',')), line]),
  );

/** The second column of a table by the first. */
export const statusBy = (table: string): ReadonlyMap<string, string> =>
  new Map(
    readFileSync(sharedPath(table), 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.split(','))
      .map(([name = '', status = '']) => [name, status]),
  );

/** The stored tensors of a test, as `input_0.pb`, `input_1.pb` ... */
export async function storedTensors(toolkit: Toolkit, dataSet: string, kind: 'input' | 'output'): Promise<Tensor[]> {
  const tensors: Tensor[] = [];
  for (;;) {
    const path = join(dataSet, `${kind}_${tensors.length}.pb`);
    if (!existsSync(path)) return tensors;
    tensors.push((await toolkit.call('readTensorProto', { bytes: new Uint8Array(readFileSync(path)) })).tensor);
  }
}

export type OrtFeeds = Record<string, Ort.Tensor>;

/** Types of onnxruntime that a made-up input can have. */
const arrays: Readonly<Record<string, (length: number, next: () => number) => Ort.Tensor['data']>> = {
  float32: (length, next) => Float32Array.from({ length }, next),
  float64: (length, next) => Float64Array.from({ length }, next),
  float16: (length) => new Uint16Array(length).fill(0x3800),
  int64: (length, next) => BigInt64Array.from({ length }, () => BigInt(Math.floor(2 * next()))),
  uint64: (length, next) => BigUint64Array.from({ length }, () => BigInt(Math.floor(2 * next()))),
  int32: (length, next) => Int32Array.from({ length }, () => 2 * next()),
  uint32: (length, next) => Uint32Array.from({ length }, () => 2 * next()),
  int16: (length, next) => Int16Array.from({ length }, () => 2 * next()),
  uint16: (length, next) => Uint16Array.from({ length }, () => 2 * next()),
  int8: (length, next) => Int8Array.from({ length }, () => 2 * next()),
  uint8: (length, next) => Uint8Array.from({ length }, () => 2 * next()),
  bool: (length, next) => Uint8Array.from({ length }, () => 2 * next()),
};
/** Outputs that its JavaScript can take; it is asked for no others. */
export const plainTypes: ReadonlySet<string> = new Set([...Object.keys(arrays), 'string']);
const mostElements = 3e6;

/** Seeded numbers in [0, 1), and 0 or 1 for integers, with `open` where an extent is; nothing where an input is no plain tensor. */
export function seededFeeds(ort: typeof Ort, session: Ort.InferenceSession, open: number): OrtFeeds | undefined {
  const next = seeded(1);
  const feeds: OrtFeeds = {};
  for (const input of session.inputMetadata) {
    const make = input.isTensor ? arrays[input.type] : undefined;
    if (!input.isTensor || make === undefined) return undefined;
    const shape = input.shape.map((extent) => (typeof extent === 'number' && extent >= 0 ? extent : open));
    const length = shape.reduce((product, extent) => product * extent, 1);
    if (length > mostElements) return undefined;
    feeds[input.name] = new ort.Tensor(input.type as 'float32', make(length, next) as Float32Array, shape);
  }
  return feeds;
}
