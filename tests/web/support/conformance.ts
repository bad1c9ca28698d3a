/** The packs of test models in ../shared/data/conformance. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor, Toolkit } from '../../../web/src/node.js';
import { sharedPath } from './shared.js';

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
