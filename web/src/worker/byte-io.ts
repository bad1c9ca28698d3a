/** Sources and sinks in memory, shared by every platform. */
import { QuantError } from '../errors.js';
import type { CoreSource } from '../wasm/core.js';
import type { OpenedSink } from './platform.js';

/** Sources up to this size are copied into the module at once; larger ones stay outside and are read in pieces. */
export const maxCopiedBytes = 64 * 1024 * 1024;

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** A source over anything that can fill a buffer from an offset. */
export function readerSource(
  name: string,
  sizeBytes: number,
  read: (offset: number, target: Uint8Array) => void,
  bytes: Uint8Array | undefined,
): CoreSource {
  if (!Number.isSafeInteger(sizeBytes) || sizeBytes < 0) {
    throw new QuantError('invalid_argument', `${name}: the size ${sizeBytes} is not a count of bytes`, name);
  }
  return {
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
}

export function bytesSource(name: string, bytes: Uint8Array): CoreSource {
  return readerSource(
    name,
    bytes.byteLength,
    (offset, target) => target.set(bytes.subarray(offset, offset + target.byteLength)),
    bytes,
  );
}

/** Hands output on as it comes. */
export function writerSink(writer: { write(bytes: Uint8Array): void }): OpenedSink {
  let sizeBytes = 0;
  return {
    core: {
      write: (view) => {
        try {
          writer.write(view);
          sizeBytes += view.byteLength;
          return '';
        } catch (error) {
          return messageOf(error) || 'writing failed';
        }
      },
    },
    finish: () => ({ bytes: new Uint8Array(0), sizeBytes }),
    discard: () => undefined,
  };
}

/** Collects output in memory: at its place where the size was told before, else in pieces that are joined once. */
export function memorySink(expectedBytes = 0): OpenedSink {
  let whole = new Uint8Array(expectedBytes);
  let filled = 0;
  let pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  return {
    core: {
      write: (view) => {
        try {
          if (pieces.length === 0 && filled + view.byteLength <= whole.byteLength) {
            whole.set(view, filled);
            filled += view.byteLength;
          } else {
            pieces.push(view.slice());
          }
          sizeBytes += view.byteLength;
          return '';
        } catch (error) {
          return messageOf(error) || 'memory could not be had';
        }
      },
    },
    finish: () => {
      if (sizeBytes === whole.byteLength) return { bytes: whole, sizeBytes };
      const bytes = new Uint8Array(sizeBytes);
      bytes.set(whole.subarray(0, filled));
      let offset = filled;
      for (const piece of pieces) {
        bytes.set(piece, offset);
        offset += piece.byteLength;
      }
      pieces = [];
      return { bytes, sizeBytes };
    },
    discard: () => {
      whole = new Uint8Array(0);
      pieces = [];
    },
  };
}
