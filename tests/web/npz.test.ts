import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QuantError } from '../../web/src/errors.js';
import { writeNpy } from '../../web/src/samples/npy.js';
import { maxNpzBytes, readNpz } from '../../web/src/samples/npz.js';
import { zipFile as zip } from './support/zip-file.js';

const array = writeNpy({ dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) });

const refuses = (bytes: Uint8Array, wording: RegExp) => {
  assert.throws(
    () => readNpz(bytes, 'x.npz'),
    (error) => error instanceof QuantError && error.code === 'bad_data' && wording.test(error.message),
  );
};

void test('stored and deflated arrays are keyed by their names without .npy', () => {
  const feeds = readNpz(
    zip([
      { name: 'image.npy', content: array },
      { name: 'state.npy', content: array, method: 0 },
    ]),
    'x.npz',
  );
  assert.deepEqual(Object.keys(feeds), ['image', 'state']);
  assert.deepEqual([...(feeds['state']?.data ?? [])], [1, 2]);
});

void test('an array called __proto__ is an array like others', () => {
  const feeds = readNpz(zip([{ name: '__proto__.npy', content: array }]), 'x.npz');
  assert.deepEqual(Object.getOwnPropertyNames(feeds), ['__proto__']);
});

void test('no archive, an empty one and a directory outside of the file are refused', () => {
  refuses(new Uint8Array(0), /not a \.npz file/);
  refuses(new Uint8Array(100), /not a \.npz file/);
  refuses(zip([]), /the archive is empty/);
  refuses(zip([{ name: 'a.npy', content: array }], { offset: 1 << 30 }), /lies outside of the file/);
  refuses(zip([{ name: 'a.npy', content: array }], { count: 2 }), /directory of the archive is broken/);
  refuses(zip([{ name: 'a.npy', content: array }]).slice(40), /lies outside|not where the directory says|broken/);
});

void test('a bomb is refused by its promise, or stopped when it breaks it', () => {
  const zeros = new Uint8Array(64 * 1024 * 1024);
  refuses(zip([{ name: 'a.npy', content: zeros, toldSize: maxNpzBytes + 1 }]), /pass the limit/);
  const before = process.memoryUsage().arrayBuffers;
  refuses(zip([{ name: 'a.npy', content: zeros, toldSize: 100 }]), /size in the directory is wrong|cannot be decompressed/);
  assert.ok(process.memoryUsage().arrayBuffers - before < 80 * 1024 * 1024);
});

void test('sizes that lie are refused, stored or deflated', () => {
  refuses(zip([{ name: 'a.npy', content: array, toldSize: array.length + 1 }]), /size in the directory is wrong/);
  refuses(
    zip([{ name: 'a.npy', content: array, toldSize: array.length - 1 }]),
    /size in the directory is wrong|cannot be decompressed/,
  );
  refuses(zip([{ name: 'a.npy', content: array, method: 0, toldSize: 4 }]), /size in the directory is wrong/);
});

void test('duplicate names, encryption, zip64 and foreign compression are refused by name', () => {
  refuses(
    zip([
      { name: 'a.npy', content: array },
      { name: 'a.npy', content: array },
    ]),
    /two entries are called 'a'/,
  );
  refuses(zip([{ name: 'a.npy', content: array, flags: 1 }]), /'a\.npy' is encrypted/);
  refuses(zip([{ name: 'a.npy', content: array }], { count: 0xffff }), /zip64/);
  refuses(zip([{ name: 'a.npy', content: array, method: 12 }]), /compression method 12/);
});

void test('an entry that is no array is refused with archive and entry named', () => {
  refuses(
    zip([{ name: '../../etc/passwd', content: new TextEncoder().encode('root:x') }]),
    /x\.npz: \.\.\/\.\.\/etc\/passwd: not a \.npy/,
  );
});

void test('every prefix of an archive is refused without hanging', () => {
  const whole = zip([{ name: 'a.npy', content: array }]);
  for (let n = 0; n < whole.length; n += 7) refuses(whole.slice(0, n), /./);
});
