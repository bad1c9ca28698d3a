import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deflateRawSync } from 'node:zlib';
import { QuantError } from '../../web/src/errors.js';
import { writeNpy } from '../../web/src/samples/npy.js';
import { maxNpzBytes, maxNpzEntries, readNpz } from '../../web/src/samples/npz.js';

const array = writeNpy({ dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) });

interface Entry {
  readonly name: string;
  readonly content: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** The size that the directory tells, where it lies. */
  readonly toldSize?: number;
}

function zip(entries: readonly Entry[], end: { readonly count?: number; readonly offset?: number } = {}): Uint8Array {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let at = 0;
  for (const { name, content, method = 8, flags = 0, toldSize = content.length } of entries) {
    const packed = method === 8 ? deflateRawSync(content) : Buffer.from(content);
    const local = Buffer.alloc(30 + name.length);
    local.writeUInt32LE(0x04034b50, 0);
    local.writeUInt16LE(name.length, 26);
    local.write(name, 30);
    const row = Buffer.alloc(46 + name.length);
    row.writeUInt32LE(0x02014b50, 0);
    row.writeUInt16LE(flags, 8);
    row.writeUInt16LE(method, 10);
    row.writeUInt32LE(packed.length, 20);
    row.writeUInt32LE(toldSize, 24);
    row.writeUInt16LE(name.length, 28);
    row.writeUInt32LE(at, 42);
    row.write(name, 46);
    locals.push(local, packed);
    directory.push(row);
    at += local.length + packed.length;
  }
  const rows = Buffer.concat(directory);
  const record = Buffer.alloc(22);
  record.writeUInt32LE(0x06054b50, 0);
  record.writeUInt16LE(end.count ?? entries.length, 10);
  record.writeUInt32LE(rows.length, 12);
  record.writeUInt32LE(end.offset ?? at, 16);
  return new Uint8Array(Buffer.concat([...locals, rows, record]));
}

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
  const many = Array.from({ length: maxNpzEntries + 1 }, (_, i) => ({ name: `${i}.npy`, content: array }));
  refuses(zip(many), /1025 entries pass the limit/);
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
