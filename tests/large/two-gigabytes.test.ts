import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtempSync, openSync, readSync, rmSync, statSync, closeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadModel, openToolkit, quantize, type ByteWriter, type QuantizeResult } from '../../web/src/node.js';
import { Skimmer } from './skim.js';
import { matMulModel, storedTensors, type StoredTensor, type WeightSpec } from '../support/wire.js';

/** One protobuf message, and so one model file, has at most this many bytes. */
const limit = 2 ** 31 - 1;
const rows = 4096;
const tableBytes = 1_000_003;

/** Seven weights of 2^28 bytes that stay as they are, one that fills up, and a small one that becomes codes. */
function makeWeights(): WeightSpec[] {
  const columns = [...Array.from({ length: 7 }, () => 16384), 16384 - 6, 16];
  let offset = 0;
  return columns.map((n, i) => {
    const spec = { name: i === columns.length - 1 ? 'small' : `large${i}`, k: rows, n, offset };
    offset += rows * n * 4;
    return spec;
  });
}

const weights = makeWeights();
const sourceBytes = weights.reduce((sum, { k, n }) => sum + k * n * 4, 0);

/** Pseudo-random bytes of exponents below 2^0, so that all are finite floats; they repeat with a period that fits no tensor. */
const table = new Uint8Array(tableBytes);
for (let i = 0, state = 2031; i < tableBytes; ++i) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  table[i] = (state >>> 24) & 0x3f;
}

function readSynthetic(offset: number, target: Uint8Array): void {
  for (let done = 0; done < target.byteLength;) {
    const from = (offset + done) % tableBytes;
    const n = Math.min(tableBytes - from, target.byteLength - done);
    target.set(table.subarray(from, from + n), done);
    done += n;
  }
}

/** What a weight that stayed must hash to. */
const expectedHashes = new Map<string, string>();
function expectedHash({ name, k, n, offset }: WeightSpec): string {
  let known = expectedHashes.get(name);
  if (known === undefined) {
    const hash = createHash('sha256');
    const piece = new Uint8Array(1 << 20);
    for (let done = 0; done < k * n * 4; done += piece.byteLength) {
      const part = piece.subarray(0, Math.min(piece.byteLength, k * n * 4 - done));
      readSynthetic(offset + done, part);
      hash.update(part);
    }
    known = hash.digest('hex');
    expectedHashes.set(name, known);
  }
  return known;
}

interface Outputs {
  readonly output: ByteWriter;
  readonly externalName?: string;
  readonly externalOutput?: ByteWriter;
  readonly overflowPath?: string;
}

/** Quantizes the small weight of a model whose doc string has `docBytes` characters. */
async function run<T>(docBytes: number, outputs: Outputs, look: (result: QuantizeResult) => T): Promise<T> {
  const toolkit = await openToolkit();
  try {
    const bytes = matMulModel(weights, 'weights.bin', 'x'.repeat(docBytes));
    const model = await loadModel(toolkit, bytes, {
      external: { 'weights.bin': { sizeBytes: sourceBytes, read: readSynthetic } },
    });
    const result = await quantize(model, {
      recipe: { mode: 'weight_only', exclude: ['large*_node'] },
      evaluation: false,
      ...outputs,
    });
    const seen = look(result);
    result.dispose();
    model.dispose();
    return seen;
  } finally {
    await toolkit.dispose();
  }
}

const ignore: ByteWriter = { write: () => undefined };
const firstDocBytes = 20_000;
let measured: Promise<number> | undefined;
/** How long the doc string must be for a file of `sizeBytes` with everything inside. */
async function docBytesFor(sizeBytes: number): Promise<number> {
  measured ??= run(firstDocBytes, { output: ignore }, (result) => result.sizeBytes);
  return firstDocBytes + sizeBytes - (await measured);
}

/** Each untouched weight must lie in `found` with its bytes, and the small one as 16 columns of codes. */
function checkTensors(found: readonly { readonly name: string; readonly sizeBytes: number; readonly sha256: string }[]): void {
  for (const weight of weights) {
    if (weight.name === 'small') continue;
    const tensor = found.find(({ name }) => name === weight.name);
    assert.ok(tensor !== undefined, `${weight.name} is missing`);
    assert.equal(tensor.sizeBytes, weight.k * weight.n * 4);
    assert.equal(tensor.sha256, expectedHash(weight), weight.name);
  }
  assert.ok(
    found.some(({ name, sizeBytes }) => name.startsWith('small') && sizeBytes === rows * 16),
    'the codes of the small weight',
  );
}

/** The tensors of an external file, read where the model says that they lie. */
function readExternal(path: string, tensors: readonly StoredTensor[]): { name: string; sizeBytes: number; sha256: string }[] {
  const descriptor = openSync(path, 'r');
  const piece = new Uint8Array(4 << 20);
  try {
    return tensors.map(({ name, offset, length }) => {
      const hash = createHash('sha256');
      for (let done = 0; done < length;) {
        const n = readSync(descriptor, piece, 0, Math.min(piece.byteLength, length - done), offset + done);
        assert.ok(n > 0, `${name} passes the end of the file`);
        hash.update(piece.subarray(0, n));
        done += n;
      }
      return { name, sizeBytes: length, sha256: hash.digest('hex') };
    });
  } finally {
    closeSync(descriptor);
  }
}

void test('a result of 2^31 - 1 bytes is one file', { timeout: 120_000 }, async () => {
  const skimmer = new Skimmer();
  const external = await run(await docBytesFor(limit), { output: skimmer }, (result) => {
    assert.equal(result.sizeBytes, limit);
    return result.external;
  });
  assert.equal(external, null);
  assert.equal(skimmer.sizeBytes, limit);
  checkTensors(skimmer.tensors);
});

for (const beyond of [1, 2]) {
  void test(
    `a result that would have 2^31 ${beyond === 1 ? '' : '+ 1 '}bytes keeps its weights in one external file`,
    { timeout: 120_000 },
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'bitwright-large-'));
      try {
        const pieces: Uint8Array[] = [];
        const path = join(folder, 'model.onnx_data');
        const output = { write: (bytes: Uint8Array): void => void pieces.push(bytes.slice()) };
        const external = await run(
          await docBytesFor(limit + beyond),
          { output, overflowPath: path },
          (result) => result.external,
        );
        assert.equal(external?.name, 'model.onnx_data');
        assert.equal(statSync(path).size, external.sizeBytes);
        const stored = storedTensors(Buffer.concat(pieces)).filter(({ location }) => location !== '');
        assert.ok(stored.every(({ location }) => location === 'model.onnx_data'));
        assert.equal(external.sizeBytes, Math.max(...stored.map(({ offset, length }) => offset + length)));
        checkTensors(readExternal(path, stored));
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
  );
}

void test('with a name for it, the external file is written below the limit too', { timeout: 120_000 }, async () => {
  const pieces: Uint8Array[] = [];
  let externalBytes = 0;
  const outputs: Outputs = {
    output: { write: (bytes) => void pieces.push(bytes.slice()) },
    externalName: 'weights_out.bin',
    externalOutput: { write: (bytes) => void (externalBytes += bytes.byteLength) },
  };
  await run(await docBytesFor(limit), outputs, (result) => {
    assert.deepEqual([result.external?.name, result.external?.sizeBytes], ['weights_out.bin', externalBytes]);
  });
  const main = Buffer.concat(pieces);
  assert.ok(main.byteLength < 100_000, `${main.byteLength} bytes of model`);
  const stored = storedTensors(main).filter(({ location }) => location === 'weights_out.bin');
  assert.equal(externalBytes, Math.max(...stored.map(({ offset, length }) => offset + length)));
  assert.equal(stored.filter(({ name }) => name.startsWith('large')).length, 8);
});
