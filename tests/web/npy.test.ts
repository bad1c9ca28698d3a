import assert from 'node:assert/strict';
import { test } from 'node:test';
import { QuantError } from '../../web/src/errors.js';
import { readNpy, writeNpy } from '../../web/src/samples/npy.js';
import { npyFile } from './support/npy-file.js';

const refuses = (bytes: Uint8Array, wording: RegExp) => {
  assert.throws(
    () => readNpy(bytes, 'x.npy'),
    (error) =>
      error instanceof QuantError &&
      error.code === 'bad_data' &&
      error.message.startsWith('x.npy: ') &&
      wording.test(error.message),
  );
};
const floats = (...values: number[]) => new Uint8Array(new Float32Array(values).buffer);
const header = (descr: string, order: string, shape: string) =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;

void test('the header that NumPy writes is read, in format 1, 2 and 3', () => {
  for (const version of [1, 2, 3] as const) {
    const tensor = readNpy(npyFile(header('<f4', 'False', '(2, 2)'), floats(1, 2, 3, 4), version), 'x.npy');
    assert.deepEqual([tensor.dtype, tensor.shape, [...tensor.data]], ['f32', [2, 2], [1, 2, 3, 4]]);
  }
});

void test('scalars, one axis and empty arrays have the shape that their header says', () => {
  assert.deepEqual(readNpy(npyFile(header('<f4', 'False', '()'), floats(7)), 'x.npy').shape, []);
  assert.deepEqual(readNpy(npyFile(header('<f4', 'False', '(1,)'), floats(7)), 'x.npy').shape, [1]);
  assert.deepEqual(readNpy(npyFile(header('<f4', 'False', '(0, 3)'), floats()), 'x.npy').data.length, 0);
});

void test('a Buffer from the pool of Node is read like any bytes', () => {
  const file = Buffer.concat([npyFile(header('<f4', 'False', '(2,)'), floats(1, 2))]);
  const { data } = readNpy(file, 'x.npy');
  assert.deepEqual([data.byteOffset, data.buffer.byteLength, [...data]], [0, 8, [1, 2]]);
});

void test('big-endian elements are turned, and the caller keeps his bytes', () => {
  const content = new Uint8Array(8);
  new DataView(content.buffer).setFloat32(0, 1.5, false);
  new DataView(content.buffer).setFloat32(4, -2, false);
  const file = npyFile(header('>f4', 'False', '(2,)'), content);
  const before = file.slice();
  assert.deepEqual([...readNpy(file, 'x.npy').data], [1.5, -2]);
  assert.deepEqual(file, before);
});

void test('Fortran order is put in row-major order', () => {
  // [[1, 2, 3], [4, 5, 6]] column by column
  assert.deepEqual(
    [...readNpy(npyFile(header('<f4', 'True', '(2, 3)'), floats(1, 4, 2, 5, 3, 6)), 'x.npy').data],
    [1, 2, 3, 4, 5, 6],
  );
  // [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]
  const cube = readNpy(npyFile(header('<f4', 'True', '(2, 2, 2)'), floats(0, 4, 2, 6, 1, 5, 3, 7)), 'x.npy');
  assert.deepEqual([...cube.data], [0, 1, 2, 3, 4, 5, 6, 7]);
});

void test('64-bit integers, booleans and halves keep their bits', () => {
  const big = readNpy(npyFile(header('<i8', 'False', '(1,)'), new Uint8Array(new BigInt64Array([-(2n ** 62n)]).buffer)), 'x.npy');
  assert.deepEqual([...big.data], [-(2n ** 62n)]);
  assert.equal(readNpy(npyFile(header('|b1', 'False', '(2,)'), new Uint8Array([0, 1])), 'x.npy').dtype, 'bool');
  assert.deepEqual([...readNpy(npyFile(header('<f2', 'False', '(1,)'), new Uint8Array([0, 0x3c])), 'x.npy').data], [0x3c00]);
});

void test('bad magic, an unknown format and a file that ends in its header are refused', () => {
  refuses(new Uint8Array(0), /not a \.npy file/);
  refuses(new TextEncoder().encode('NUMPY is no magic'), /not a \.npy file/);
  refuses(npyFile(header('<f4', 'False', '(1,)'), floats(1), 9), /format 9 is not known/);
  refuses(npyFile(header('<f4', 'False', '(1,)'), floats(1)).slice(0, 20), /header of \d+ bytes does not fit/);
  refuses(npyFile(header('<f4', 'False', '(1,)'), floats(1), 2).slice(0, 11), /ends within its header/);
});

void test('a header length that lies is refused', () => {
  const file = npyFile(header('<f4', 'False', '(1,)'), floats(1));
  new DataView(file.buffer).setUint16(8, 65535, true);
  refuses(file, /header of 65535 bytes does not fit/);
  const long = npyFile(header('<f4', 'False', '(1,)'), floats(1), 2);
  new DataView(long.buffer).setUint32(8, 0xffffffff, true);
  refuses(long, /header of 4294967295 bytes does not fit/);
});

void test('sizes that lie are refused before memory is taken', () => {
  refuses(npyFile(header('<f4', 'False', '(3,)'), floats(1, 2)), /needs 12 bytes, the file has 8/);
  refuses(npyFile(header('<f4', 'False', '(1,)'), floats(1, 2)), /needs 4 bytes, the file has 8/);
  refuses(npyFile(header('<f4', 'False', '(4294967296, 4294967296)'), floats(1)), /needs/);
  refuses(npyFile(header('<f8', 'False', `(${'9'.repeat(400)},)`), floats(1, 2)), /needs Infinity bytes/);
  refuses(npyFile(header('<f4', 'False', `(${'1,'.repeat(33)})`), floats(1)), /rank 33/);
});

void test('a Python expression in the header is not evaluated but refused', () => {
  refuses(
    npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': __import__('os').getcwd(), }", floats(1)),
    /not one that NumPy writes/,
  );
  refuses(npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), 'x': 1}", floats(1)), /not one that NumPy writes/);
  refuses(npyFile("{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }", floats(1)), /not one that NumPy writes/);
  refuses(npyFile("[('descr', '<f4')]", floats(1)), /not one that NumPy writes/);
});

void test('a hostile header does not keep the reader busy', () => {
  const started = performance.now();
  refuses(npyFile(`{${"'shape': (),".repeat(5000)}`, floats(1)), /not one that NumPy writes/);
  refuses(npyFile(`{'descr':${' '.repeat(60_000)}`, floats(1)), /not one that NumPy writes/);
  refuses(npyFile(header('<f4', 'False', `(${'1,'.repeat(30_000)}`), floats(1)), /not one that NumPy writes/);
  assert.ok(performance.now() - started < 2000);
});

void test('object, text and structured types are refused', () => {
  refuses(npyFile(header('|O', 'False', '(1,)'), floats(1, 2)), /element type '\|O' is not supported/);
  refuses(npyFile(header('<U4', 'False', '(1,)'), floats(1, 2, 3, 4)), /element type/);
  refuses(npyFile("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", floats(1)), /not one that NumPy writes/);
  refuses(npyFile(header('<constructor', 'False', '(1,)'), floats(1)), /element type/);
});

void test('what is written is read back, with the header on a 64-byte boundary as NumPy wants it', () => {
  const tensors = [
    { dtype: 'f32', shape: [2, 3], data: Float32Array.of(1, -0, 3, 4, Number.NaN, Infinity) },
    { dtype: 'i64', shape: [1], data: BigInt64Array.of(-1n) },
    { dtype: 'u8', shape: [], data: Uint8Array.of(255) },
  ] as const;
  for (const tensor of tensors) {
    const file = writeNpy(tensor);
    assert.equal((10 + new DataView(file.buffer).getUint16(8, true)) % 64, 0);
    assert.deepEqual(readNpy(file, 'x.npy'), { ...tensor, shape: [...tensor.shape] });
  }
  assert.throws(() => writeNpy({ dtype: 'bf16', shape: [1], data: Uint16Array.of(0) }), { code: 'unsupported' });
});
