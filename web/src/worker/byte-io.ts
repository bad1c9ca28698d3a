/** Sources and sinks in memory, shared by every platform. */
import { sha256 as createSha256 } from '@noble/hashes/sha2.js';
import { bytesToHex } from '@noble/hashes/utils.js';

import { QuantError } from '../errors.js';
import type { CoreSource } from '../wasm/core.js';
import type { OpenedSink, OpenedSource } from './platform.js';

/** Sources up to this size are copied into the module at once; larger ones stay outside and are read in pieces. */
export const maxCopiedBytes = 64 * 1024 * 1024;
const hashPieceBytes = 4 * 1024 * 1024;

export interface IncrementalHash {
  update(bytes: Uint8Array): void;
  hex(): string;
}

export type CreateHash = () => IncrementalHash;

export const createPortableHash: CreateHash = () => {
  const hash = createSha256.create();
  return { update: (bytes) => void hash.update(bytes), hex: () => bytesToHex(hash.digest()) };
};

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A source over anything that can fill a buffer from an offset. */
export function readerSource(
  name: string,
  sizeBytes: number,
  read: (offset: number, target: Uint8Array) => void,
  bytes: Uint8Array | undefined,
  createHash: CreateHash,
): OpenedSource {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw new QuantError('invalid_argument', `${name}: the size ${sizeBytes} is not a count of bytes`, name);
  }
  const core: CoreSource = {
    name,
    sizeBytes,
    bytes: bytes !== undefined && bytes.byteLength <= maxCopiedBytes ? bytes : undefined,
    read: (offset, target) => {
      try {
        read(offset, target);
        return '';
      } catch (error) {
        return messageOf(error) || 'reading failed';
      }
    },
  };
  return {
    core,
    sha256: () => {
      const hash = createHash();
      if (bytes !== undefined) {
        hash.update(bytes);
        return hash.hex();
      }
      const piece = new Uint8Array(Math.min(hashPieceBytes, sizeBytes));
      for (let offset = 0; offset < sizeBytes; offset += piece.byteLength) {
        const part = piece.subarray(0, Math.min(piece.byteLength, sizeBytes - offset));
        read(offset, part);
        hash.update(part);
      }
      return hash.hex();
    },
  };
}

export function bytesSource(name: string, bytes: Uint8Array, createHash: CreateHash): OpenedSource {
  return readerSource(name, bytes.byteLength, (offset, target) => target.set(bytes.subarray(offset, offset + target.byteLength)), bytes, createHash);
}

/** Hands output on as it comes. */
export function writerSink(writer: { write(bytes: Uint8Array): void }, createHash: CreateHash): OpenedSink {
  let sizeBytes = 0;
  const hash = createHash();
  return {
    core: {
      write: (view) => {
        try {
          writer.write(view);
          hash.update(view);
          sizeBytes += view.byteLength;
          return '';
        } catch (error) {
          return messageOf(error) || 'writing failed';
        }
      },
    },
    finish: () => ({ bytes: new Uint8Array(0), sizeBytes, sha256: hash.hex() }),
    discard: () => undefined,
  };
}

/** Collects output in memory, in pieces that are joined once. */
export function memorySink(createHash: CreateHash): OpenedSink {
  let pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  const hash = createHash();
  return {
    core: {
      write: (view) => {
        try {
          const copy = view.slice();
          hash.update(copy);
          pieces.push(copy);
          sizeBytes += copy.byteLength;
          return '';
        } catch (error) {
          return messageOf(error) || 'memory could not be had';
        }
      },
    },
    finish: () => {
      let bytes: Uint8Array;
      if (pieces.length === 1 && pieces[0] !== undefined) {
        bytes = pieces[0];
      } else {
        bytes = new Uint8Array(sizeBytes);
        let offset = 0;
        for (const piece of pieces) {
          bytes.set(piece, offset);
          offset += piece.byteLength;
        }
      }
      pieces = [];
      return { bytes, sizeBytes, sha256: hash.hex() };
    },
    discard: () => {
      pieces = [];
    },
  };
}
