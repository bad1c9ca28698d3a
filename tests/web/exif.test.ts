import assert from 'node:assert/strict';
import { test } from 'node:test';
import { exifOrientation, oriented } from '../../web/src/samples/exif.js';
import { jpegWithExif } from './support/exif-file.js';

// What is seen, as letters:   A B C
//                             D E F
const seen = { rows: ['ABC', 'DEF'] };
// How each orientation stores it (TIFF 6, tag 274: where row 0 and column 0 of the file are to be shown).
const stored: Readonly<Record<number, readonly string[]>> = {
  1: ['ABC', 'DEF'], // top left
  2: ['CBA', 'FED'], // top right
  3: ['FED', 'CBA'], // bottom right
  4: ['DEF', 'ABC'], // bottom left
  5: ['AD', 'BE', 'CF'], // left top
  6: ['CF', 'BE', 'AD'], // right top
  7: ['FC', 'EB', 'DA'], // right bottom
  8: ['DA', 'EB', 'FC'], // left bottom
};

const pictureOf = (rows: readonly string[]) => ({
  rgb: Uint8Array.from(rows.flatMap((row) => [...row].flatMap((letter) => [letter.charCodeAt(0), 1, 2]))),
  width: rows[0]?.length ?? 0,
  height: rows.length,
});

for (const [tag, rows] of Object.entries(stored)) {
  void test(`orientation ${tag} is undone`, () => {
    assert.deepEqual(oriented(pictureOf(rows), Number(tag)), pictureOf(seen.rows));
  });
}

void test('the tag is read in both byte orders, behind other segments too', () => {
  for (const isLittle of [true, false]) {
    for (let tag = 1; tag <= 8; ++tag) assert.equal(exifOrientation(jpegWithExif(tag, isLittle)), tag);
  }
  const comment = Uint8Array.of(0xff, 0xfe, 0, 6, 1, 2, 3, 4);
  const file = jpegWithExif(6, true);
  assert.equal(exifOrientation(Uint8Array.from([...file.slice(0, 2), ...comment, ...file.slice(2)])), 6);
});

void test('a broken header means upright', () => {
  const whole = jpegWithExif(6, true);
  for (let n = 0; n < whole.length; ++n) assert.ok([1, 6].includes(exifOrientation(whole.slice(0, n))));
  assert.equal(exifOrientation(jpegWithExif(9, true)), 1);
  assert.equal(exifOrientation(jpegWithExif(0, false)), 1);
  const wild = whole.slice();
  new DataView(wild.buffer).setUint32(16, 0xffffffff, true);
  assert.equal(exifOrientation(wild), 1);
});
