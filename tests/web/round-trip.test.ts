/**
 * Reading a model and writing it untouched, on every model of the conformance packs: onnxruntime-node loads what we write where it
 * loads the original, and gives the same outputs: of all models for which inputs can be made, unoptimized where they load so.
 */
import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { test, type TestContext } from 'node:test';
import type * as Ort from 'onnxruntime-common';
import { loadModel, QuantError, type Tensor, type Toolkit } from '../../web/src/node.js';
import {
  backendStatus,
  backendTests,
  modelsBelow,
  type OrtFeeds,
  plainTypes,
  runtimeModels,
  runtimeStatus,
  seededFeeds,
  statusBy,
  storedTensors,
  unpacked,
} from './support/conformance.js';
import { ortTypes } from './support/onnxruntime.js';
import { whyNotShared } from './support/shared.js';
import { withToolkit } from './support/toolkit.js';

const ort = (await import('onnxruntime-node')) as unknown as typeof Ort;

/** The inputs that lie beside the model, in the order of its inputs. */
async function storedFeeds(toolkit: Toolkit, session: Ort.InferenceSession, path: string): Promise<OrtFeeds | undefined> {
  let stored: Tensor[];
  try {
    stored = await storedTensors(toolkit, join(dirname(path), 'test_data_set_0'), 'input');
  } catch {
    return undefined; // sequences and optionals
  }
  if (stored.length === 0 || stored.length !== session.inputNames.length) return undefined;
  const feeds: OrtFeeds = {};
  for (const [i, { dtype, shape, data }] of stored.entries()) {
    const type = (ortTypes as Partial<Record<string, Ort.Tensor.Type>>)[dtype];
    if (type === undefined) return undefined;
    feeds[session.inputNames[i] ?? ''] = new ort.Tensor(type as 'float32', data as Float32Array, [...shape]);
  }
  return feeds;
}

const isSameValue = (a: unknown, b: unknown): boolean => a === b || (Number.isNaN(a) && Number.isNaN(b));

function isSame(a: Ort.InferenceSession.ReturnType, b: Ort.InferenceSession.ReturnType): boolean {
  return Object.entries(a).every(([name, one]) => {
    const other = b[name];
    if (one === null || other === null || other === undefined) return one === other;
    if (one.type !== other.type || one.dims.length !== other.dims.length) return false;
    if (one.dims.some((extent, i) => extent !== other.dims[i]) || one.data.length !== other.data.length) return false;
    for (let i = 0; i < one.data.length; ++i) if (!isSameValue(one.data[i], other.data[i])) return false;
    return true;
  });
}

const attempt = async <T>(work: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await work();
  } catch {
    return undefined;
  }
};

const reruns = 16;
type Verdict =
  'same outputs' | 'both fail to run' | 'draws random numbers' | 'loaded only' | 'other outputs' | 'one fails to run';

/** By the first of the feeds with which the original runs: what lies beside a model need not fit it, nor do made-up shapes. */
async function compareRuns(
  original: Ort.InferenceSession,
  copy: Ort.InferenceSession,
  candidates: readonly OrtFeeds[],
): Promise<Verdict> {
  for (const feeds of candidates) {
    const wanted = await attempt(() => original.run(feeds));
    const found = await attempt(() => copy.run(feeds));
    if (wanted === undefined && found === undefined) continue;
    if (wanted === undefined || found === undefined) return 'one fails to run';
    if (isSame(wanted, found)) return 'same outputs';
    for (let i = 0; i < reruns; ++i) if (!isSame(wanted, await original.run(feeds))) return 'draws random numbers';
    return 'other outputs';
  }
  return candidates.length === 0 ? 'loaded only' : 'both fail to run';
}

const open = async (model: string | Uint8Array): Promise<Ort.InferenceSession | undefined> => {
  for (const graphOptimizationLevel of ['disabled', 'all'] as const) {
    const session = await attempt(() =>
      ort.InferenceSession.create(model as string, {
        graphOptimizationLevel,
        logSeverityLevel: 4,
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
      }),
    );
    if (session !== undefined) return session;
  }
  return undefined;
};

async function rewritten(toolkit: Toolkit, path: string): Promise<Uint8Array> {
  const model = await loadModel(toolkit, path);
  try {
    const { bytes } = await toolkit.call('writeModel', {
      modelId: model.id,
      sink: { kind: 'bytes', expectedBytes: 0 },
      externalName: '',
      externalSink: null,
    });
    return bytes;
  } finally {
    model.dispose();
  }
}

interface Tally {
  readonly counts: Map<string, number>;
  readonly refusals: string[];
  readonly faults: string[];
  /** Models that onnxruntime-node loads. */
  readonly loaded: Set<string>;
}

async function roundTrip(toolkit: Toolkit, folder: string, name: string, tally: Tally): Promise<void> {
  const path = join(folder, name);
  let bytes: Uint8Array | undefined;
  try {
    bytes = await rewritten(toolkit, path);
  } catch (error) {
    if (!(error instanceof QuantError) || error.code === 'internal' || error.code === 'out_of_memory') throw error;
    tally.refusals.push(`${name}: ${error.code}: ${error.message}`);
  }
  const count = (verdict: string): void => {
    tally.counts.set(verdict, (tally.counts.get(verdict) ?? 0) + 1);
  };
  const original = await open(path);
  const copy = bytes && (await open(bytes));
  try {
    if (original === undefined) {
      count(bytes === undefined ? 'refused by both' : copy === undefined ? 'read here, not by onnxruntime' : 'copy loads only');
      // An .ort file can also be refused for kernels that it was made for.
      if (copy !== undefined && !name.endsWith('.ort'))
        tally.faults.push(`${name}: onnxruntime loads the copy, not the original`);
      return;
    }
    tally.loaded.add(name);
    if (copy === undefined) {
      tally.faults.push(`${name}: ${bytes === undefined ? 'refused, though' : 'the copy is refused, the original'} loaded`);
      return;
    }
    const candidates = [await storedFeeds(toolkit, original, path), seededFeeds(ort, original, 2), seededFeeds(ort, original, 1)];
    const feeds = candidates.filter((one) => one !== undefined);
    // Outputs of other kinds are refused by its JavaScript at best; some end the process.
    const hasPlainOutputs = original.outputMetadata.every((one) => one.isTensor && plainTypes.has(one.type));
    const verdict = await compareRuns(original, copy, hasPlainOutputs ? feeds : []);
    count(verdict);
    if (verdict === 'other outputs' || verdict === 'one fails to run') tally.faults.push(`${name}: ${verdict}`);
  } finally {
    await original?.release();
    await copy?.release();
  }
}

async function roundTripAll(
  context: TestContext,
  pack: string,
  ending: '.onnx' | '.ort' = '.onnx',
): Promise<{ names: readonly string[]; tally: Tally }> {
  const tally: Tally = { counts: new Map(), refusals: [], faults: [], loaded: new Set() };
  let names: string[] = [];
  await unpacked(pack, async (folder) => {
    names = modelsBelow(folder, ending);
    await withToolkit(async (toolkit) => {
      for (const name of names) await roundTrip(toolkit, folder, name, tally);
    });
  });
  context.diagnostic(`${names.length} models: ${[...tally.counts].map(([verdict, n]) => `${n} ${verdict}`).join(', ')}`);
  for (const refusal of tally.refusals) context.diagnostic(`refused: ${refusal.slice(0, 160)}`);
  assert.deepEqual(tally.faults, []);
  return { names, tally };
}

void test(
  'all 709 models of the tests of ONNX Runtime are read and written as onnxruntime understands them',
  { skip: whyNotShared(runtimeModels, runtimeStatus) },
  async (context) => {
    const { names, tally } = await roundTripAll(context, runtimeModels);
    assert.equal(names.length, 709);
    assert.ok((tally.counts.get('same outputs') ?? 0) >= 540, 'most models are compared by their outputs');
    const status = statusBy(runtimeStatus);
    const lost = names.filter((name) => status.get(name) === 'load_ok' && !tally.loaded.has(name));
    assert.deepEqual(lost, [], 'the table says that onnxruntime loads these');
  },
);

void test(
  'all models of the ONNX backend tests are read and written as onnxruntime understands them',
  { skip: whyNotShared(backendTests, backendStatus) },
  async (context) => {
    const { names, tally } = await roundTripAll(context, backendTests);
    assert.equal(names.filter((name) => name.startsWith('node/')).length, 1546);
    assert.ok((tally.counts.get('same outputs') ?? 0) >= 1330, 'most models are compared by their outputs');
    assert.deepEqual(tally.refusals, [], 'every model is read');
    const status = statusBy(backendStatus);
    const passes = names.filter((name) => status.get(name.split('/')[1] ?? '') === 'pass');
    assert.deepEqual(
      passes.filter((name) => !tally.loaded.has(name)),
      [],
      'the table says that onnxruntime runs these',
    );
  },
);

void test(
  'the .ort files of the tests of ONNX Runtime are read, and written as ONNX files that onnxruntime understands alike',
  { skip: whyNotShared(runtimeModels) },
  async (context) => {
    const { names, tally } = await roundTripAll(context, runtimeModels, '.ort');
    assert.equal(names.length, 16);
    assert.ok((tally.counts.get('same outputs') ?? 0) >= 10, 'most models are compared by their outputs');
    assert.deepEqual(tally.refusals, [], 'every model is read');
  },
);
