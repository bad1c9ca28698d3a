/** Every named limit on samples, pictures, recipes and folders, just under and just over. Those of models are tests/**\/*limits_test.cpp. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { externalFiles } from '../../web/src/cli/external.js';
import { itemsOf } from '../../web/src/cli/samples.js';
import { QuantError } from '../../web/src/errors.js';
import { maxPatternLength, maxPatterns, maxRecipeBytes, parseRecipe, parseRecipeJson } from '../../web/src/recipe.js';
import { decodeImage, maxImageBytes, maxImagePixels } from '../../web/src/samples/decode-image.js';
import { maxNpyHeaderBytes, readNpy, writeNpy } from '../../web/src/samples/npy.js';
import { maxNpzBytes, maxNpzEntries, readNpz } from '../../web/src/samples/npz.js';
import { zipFile } from './support/zip-file.js';

/** What the work is refused with: its code and sentence; undefined where it is not. */
async function refusal(work: () => unknown): Promise<string | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    assert.ok(error instanceof QuantError, String(error));
    return `${error.code} ${error.message}`;
  }
}

const array = writeNpy({ dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) });

void test('limits: entries of an .npz and the bytes they promise', async () => {
  const archive = (n: number) => zipFile(Array.from({ length: n }, (_, i) => ({ name: `${i}.npy`, content: array })));
  assert.equal(Object.keys(readNpz(archive(maxNpzEntries), 'x.npz')).length, maxNpzEntries);
  assert.match((await refusal(() => readNpz(archive(maxNpzEntries + 1), 'x.npz'))) ?? '', /^bad_data .*pass the limit/);
  const promising = (toldSize: number) => zipFile([{ name: 'a.npy', content: array, toldSize }]);
  // What promises just as much as is allowed is found to have told a lie.
  assert.match(
    (await refusal(() => readNpz(promising(maxNpzBytes), 'x'))) ?? '',
    /^bad_data .*(size in the directory|decompressed)/,
  );
  assert.match((await refusal(() => readNpz(promising(maxNpzBytes + 1), 'x'))) ?? '', /^bad_data .*pass the limit/);
});

void test('limits: the header of an .npy', async () => {
  const file = (headerBytes: number) => {
    const header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }".padEnd(headerBytes - 1) + '\n';
    const bytes = new Uint8Array(12 + headerBytes + 4);
    bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 2, 0]);
    new DataView(bytes.buffer).setUint32(8, headerBytes, true);
    bytes.set(new TextEncoder().encode(header), 12);
    return bytes;
  };
  assert.deepEqual(readNpy(file(maxNpyHeaderBytes), 'x').shape, [1]);
  assert.match((await refusal(() => readNpy(file(maxNpyHeaderBytes + 1), 'x'))) ?? '', /^bad_data .*does not fit/);
});

void test('limits: pixels of a picture and bytes of its file', async () => {
  const wide = new Uint8Array(readFileSync(new URL('fixtures/rgb.png', import.meta.url)));
  const promising = (width: number, height: number) => {
    const view = new DataView(wide.buffer);
    view.setUint32(16, width);
    view.setUint32(20, height);
    return refusal(() => decodeImage(wide, 'x.png', null));
  };
  const side = Math.sqrt(maxImagePixels);
  const allowed = await promising(side, side);
  assert.ok(allowed !== undefined && !allowed.includes('limit'), 'the promise is allowed, and found to be broken');
  assert.match((await promising(side + 1, side)) ?? '', /^bad_data .*passes the limit/);
  const zeros = new Uint8Array(maxImageBytes + 1);
  assert.match((await refusal(() => decodeImage(zeros.subarray(1), 'x', null))) ?? '', /not a JPEG or PNG/);
  assert.match((await refusal(() => decodeImage(zeros, 'x', null))) ?? '', /^bad_data .*passes the limit/);
});

void test('limits: a recipe, its patterns and their length', async () => {
  assert.equal(await refusal(() => parseRecipeJson('{}'.padEnd(maxRecipeBytes))), undefined);
  assert.match((await refusal(() => parseRecipeJson('{}'.padEnd(maxRecipeBytes + 1)))) ?? '', /^bad_recipe .*is longer/);
  const patterns = (n: number, length: number) =>
    refusal(() => parseRecipe({ exclude: new Array<string>(n).fill('a'.repeat(length)) }));
  assert.equal(await patterns(maxPatterns, maxPatternLength), undefined);
  assert.match((await patterns(maxPatterns + 1, 1)) ?? '', /^bad_recipe .*more than 10000 entries/);
  assert.match((await patterns(1, maxPatternLength + 1)) ?? '', /^bad_recipe .*not a text of 1 to 1000/);
});

void test('limits: files below a folder of external data or of samples', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-limits-'));
  try {
    mkdirSync(join(folder, 'inner'));
    for (const name of ['model.onnx', 'a.npy', 'b.npy', 'inner/c.npy']) writeFileSync(join(folder, name), array);
    // The folder counts too: it is looked at.
    const external = (limit: number) => externalFiles(join(folder, 'model.onnx'), folder, limit);
    assert.deepEqual(Object.keys(external(5)), ['a.npy', 'b.npy', 'inner/c.npy']);
    assert.match((await refusal(() => external(4))) ?? '', /^limit_exceeded .*more than 4 files; give a smaller folder/);
    assert.equal(itemsOf(folder, 3).length, 3);
    assert.match((await refusal(() => itemsOf(folder, 2))) ?? '', /^limit_exceeded .*more than 2 files; give a smaller folder/);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
