import { inflateSync } from 'fflate';

import { QuantError } from '../errors.js';
import type { Feeds, Tensor } from '../types.js';
import { readNpy } from './npy.js';

/** Named limits against archives made to hurt; a calibration sample has below 20 arrays and 200 MB. */
export const maxNpzEntries = 1024;
export const maxNpzBytes = 2 ** 30;

function fail(name: string, finding: string): never {
  throw new QuantError('bad_data', `${name}: ${finding}`, name);
}

/** Where the directory of the archive stands: the end record, looked for from the end. */
function endRecord(view: DataView, name: string): { n: number; offset: number } {
  const lowest = Math.max(0, view.byteLength - 22 - 65535);
  for (let at = view.byteLength - 22; at >= lowest; --at) {
    if (view.getUint32(at, true) !== 0x06054b50) continue;
    const n = view.getUint16(at + 10, true);
    const bytes = view.getUint32(at + 12, true);
    const offset = view.getUint32(at + 16, true);
    if (n === 0xffff || offset === 0xffffffff) fail(name, 'zip64 archives are not supported; save fewer or smaller arrays');
    if (bytes > view.byteLength || offset > view.byteLength - bytes)
      fail(name, 'the directory of the archive lies outside of the file');
    return { n, offset };
  }
  fail(name, 'not a .npz file');
}

/**
 * Reads an .npz archive: one tensor per entry, keyed by the entry's name without .npy.
 *
 * @throws QuantError `bad_data` for broken, encrypted or oversized archives, duplicate names, and sizes that lie
 */
export function readNpz(bytes: Uint8Array, name: string): Feeds {
  if (bytes.byteLength < 22) fail(name, 'not a .npz file');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { n, offset } = endRecord(view, name);
  if (n > maxNpzEntries) fail(name, `${n} entries pass the limit of ${maxNpzEntries}`);
  const tensors: Record<string, Tensor> = Object.create(null) as Record<string, Tensor>;
  let at = offset;
  let total = 0;
  for (let i = 0; i < n; ++i) {
    if (at + 46 > bytes.byteLength || view.getUint32(at, true) !== 0x02014b50)
      fail(name, 'the directory of the archive is broken');
    const flags = view.getUint16(at + 8, true);
    const method = view.getUint16(at + 10, true);
    const packed = view.getUint32(at + 20, true);
    const size = view.getUint32(at + 24, true);
    const nameBytes = view.getUint16(at + 28, true);
    const local = view.getUint32(at + 42, true);
    const next = at + 46 + nameBytes + view.getUint16(at + 30, true) + view.getUint16(at + 32, true);
    if (next > bytes.byteLength) fail(name, 'the directory of the archive is broken');
    const entry = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + nameBytes));
    at = next;
    if ((flags & 1) !== 0) fail(name, `entry '${entry}' is encrypted`);
    total += size;
    if (total > maxNpzBytes) fail(name, `the arrays pass the limit of ${maxNpzBytes} bytes`);
    if (local + 30 > bytes.byteLength || view.getUint32(local, true) !== 0x04034b50)
      fail(name, `entry '${entry}' is not where the directory says`);
    const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
    if (packed > bytes.byteLength || start > bytes.byteLength - packed) fail(name, `entry '${entry}' lies outside of the file`);
    const content = unpacked(bytes.subarray(start, start + packed), method, size, `${name}: ${entry}`);
    const key = entry.replace(/\.npy$/, '');
    if (Object.hasOwn(tensors, key)) fail(name, `two entries are called '${key}'`);
    tensors[key] = readNpy(content, `${name}: ${entry}`);
  }
  if (n === 0) fail(name, 'the archive is empty');
  return { ...tensors };
}

function unpacked(packed: Uint8Array, method: number, size: number, name: string): Uint8Array {
  if (method === 0) {
    if (packed.byteLength !== size) fail(name, 'the size in the directory is wrong');
    return packed;
  }
  if (method !== 8) fail(name, `compression method ${method} is not supported`);
  let content;
  try {
    // One byte more than promised: a stream that fills it lied.
    content = inflateSync(packed, { out: new Uint8Array(size + 1) });
  } catch (error) {
    fail(name, `cannot be decompressed: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (content.byteLength !== size) fail(name, 'the size in the directory is wrong');
  return content;
}
