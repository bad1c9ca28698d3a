import { checkTensor } from '../check-sample.js';
import { QuantError } from '../errors.js';
import type { DType, Tensor, TypedArray } from '../types.js';

/** The longest header we read; NumPy writes below 200 bytes. */
export const maxNpyHeaderBytes = 64 * 1024;

interface Kind {
  readonly dtype: DType;
  readonly bytes: number;
  make(buffer: ArrayBuffer): TypedArray;
}

const kinds: Readonly<Record<string, Kind>> = {
  f4: { dtype: 'f32', bytes: 4, make: (b) => new Float32Array(b) },
  f8: { dtype: 'f64', bytes: 8, make: (b) => new Float64Array(b) },
  f2: { dtype: 'f16', bytes: 2, make: (b) => new Uint16Array(b) },
  i1: { dtype: 'i8', bytes: 1, make: (b) => new Int8Array(b) },
  i2: { dtype: 'i16', bytes: 2, make: (b) => new Int16Array(b) },
  i4: { dtype: 'i32', bytes: 4, make: (b) => new Int32Array(b) },
  i8: { dtype: 'i64', bytes: 8, make: (b) => new BigInt64Array(b) },
  u1: { dtype: 'u8', bytes: 1, make: (b) => new Uint8Array(b) },
  u2: { dtype: 'u16', bytes: 2, make: (b) => new Uint16Array(b) },
  u4: { dtype: 'u32', bytes: 4, make: (b) => new Uint32Array(b) },
  u8: { dtype: 'u64', bytes: 8, make: (b) => new BigUint64Array(b) },
  b1: { dtype: 'bool', bytes: 1, make: (b) => new Uint8Array(b) },
};

function fail(name: string, finding: string): never {
  throw new QuantError('bad_data', `${name}: ${finding}`, name);
}

/** The three fields of the header, matched as literals: the header is never evaluated. */
function parseHeader(header: string, name: string): { descr: string; isFortran: boolean; shape: number[] } {
  const descr = /'descr'\s*:\s*'([^']*)'/.exec(header)?.[1];
  const order = /'fortran_order'\s*:\s*(True|False)/.exec(header)?.[1];
  const extents = /'shape'\s*:\s*\(([0-9,\sL]*)\)/.exec(header)?.[1];
  const isLiteral = /^\s*\{(\s*'(descr|fortran_order|shape)'\s*:\s*('[^']*'|True|False|\([0-9,\sL]*\))\s*,?){3}\s*\}\s*$/.test(
    header,
  );
  if (descr === undefined || order === undefined || extents === undefined || !isLiteral)
    fail(name, 'the .npy header is not one that NumPy writes');
  const shape = extents
    .split(',')
    .map((text) => text.trim().replace(/L$/, ''))
    .filter((text) => text !== '')
    .map(Number);
  return { descr, isFortran: order === 'True', shape };
}

/** Elements that were written column by column, put in row-major order. */
function rowMajor(bytes: Uint8Array, shape: readonly number[], width: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes.byteLength);
  const rank = shape.length;
  const index = new Array<number>(rank).fill(0);
  const strides = new Array<number>(rank).fill(1);
  for (let axis = 1; axis < rank; ++axis) strides[axis] = (strides[axis - 1] as number) * (shape[axis - 1] as number);
  for (let to = 0; to < bytes.byteLength; to += width) {
    let from = 0;
    for (let axis = 0; axis < rank; ++axis) from += (index[axis] as number) * (strides[axis] as number);
    out.set(bytes.subarray(from * width, from * width + width), to);
    for (let axis = rank - 1; axis >= 0; --axis) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      index[axis] = 0;
    }
  }
  return out;
}

/**
 * Reads one .npy array (format 1 to 3), little or big endian, C or Fortran order.
 *
 * @throws QuantError `bad_data` naming the file and what is wrong; object arrays are refused, nothing is ever evaluated
 */
export function readNpy(bytes: Uint8Array, name: string): Tensor {
  const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];
  if (bytes.byteLength < 10 || magic.some((byte, i) => bytes[i] !== byte)) fail(name, 'not a .npy file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = view.getUint8(6);
  if (version < 1 || version > 3) fail(name, `.npy format ${version} is not known`);
  const lengthBytes = version === 1 ? 2 : 4;
  if (bytes.byteLength < 8 + lengthBytes) fail(name, 'the file ends within its header');
  const headerBytes = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const start = 8 + lengthBytes;
  if (headerBytes > maxNpyHeaderBytes || headerBytes > bytes.byteLength - start)
    fail(name, `a header of ${headerBytes} bytes does not fit`);
  const header = new TextDecoder(version === 3 ? 'utf-8' : 'latin1').decode(bytes.subarray(start, start + headerBytes));
  const { descr, isFortran, shape } = parseHeader(header, name);
  const kind = Object.hasOwn(kinds, descr.slice(1)) ? kinds[descr.slice(1)] : undefined;
  if (kind === undefined || !'<>|='.includes(descr.charAt(0))) {
    fail(name, `element type '${descr.slice(0, 40)}' is not supported; give float, integer or bool arrays`);
  }
  if (shape.length > 32) fail(name, `rank ${shape.length} passes the limit of 32`);
  const n = shape.reduce((product, extent) => product * extent, 1);
  const expected = n * kind.bytes;
  const found = bytes.byteLength - start - headerBytes;
  if (!Number.isSafeInteger(expected) || expected !== found)
    fail(name, `shape [${shape.join(',')}] of ${descr} needs ${expected} bytes, the file has ${found}`);
  // Not bytes.slice: of a Buffer that would be a view into a pool.
  let content = new Uint8Array(bytes.subarray(start + headerBytes));
  if (descr.startsWith('>') && kind.bytes > 1) {
    for (let at = 0; at < content.byteLength; at += kind.bytes) content.subarray(at, at + kind.bytes).reverse();
  }
  if (isFortran && shape.length > 1) content = rowMajor(content, shape, kind.bytes);
  return { dtype: kind.dtype, shape, data: kind.make(content.buffer) };
}

/** Writes one array as .npy format 1, for `bitwright run --output`. Types NumPy lacks are refused. */
export function writeNpy(tensor: Tensor): Uint8Array {
  checkTensor(tensor, 'writeNpy', 'tensor');
  const entry = Object.entries(kinds).find(([, kind]) => kind.dtype === tensor.dtype);
  if (entry === undefined) throw new QuantError('unsupported', `elements of ${tensor.dtype} have no .npy type`);
  const [code, kind] = entry;
  const shape = tensor.shape.length === 1 ? `${tensor.shape[0]},` : tensor.shape.join(', ');
  const text = `{'descr': '${kind.bytes === 1 ? '|' : '<'}${code}', 'fortran_order': False, 'shape': (${shape}), }`;
  const padded = text.padEnd(Math.ceil((10 + text.length + 1) / 64) * 64 - 10 - 1) + '\n';
  const { data } = tensor;
  const out = new Uint8Array(10 + padded.length + data.byteLength);
  out.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0, padded.length & 255, padded.length >> 8]);
  out.set(new TextEncoder().encode(padded), 10);
  out.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 10 + padded.length);
  return out;
}
