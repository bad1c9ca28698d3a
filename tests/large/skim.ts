import { createHash, type Hash } from 'node:crypto';

/** An initializer that went by: its values are hashed, not kept. */
export interface SkimmedTensor {
  readonly name: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Numbers of the fields on the way to a tensor's values: ModelProto.graph, GraphProto.initializer, TensorProto.raw_data. */
const graphField = 7;
const initializerField = 5;
const nameField = 8;
const rawDataField = 9;

/** Follows a model file as it is written, in any pieces, without holding it: protobuf read byte by byte but for tensor values. */
export class Skimmer {
  readonly tensors: SkimmedTensor[] = [];
  sizeBytes = 0;
  private held = new Uint8Array(0);
  /** Ends of the messages around the current place, as positions in the file. */
  private readonly ends: number[] = [];
  private path: number[] = [];
  private name = '';
  private at = 0;
  private values: { hash: Hash; left: number; sizeBytes: number } | undefined;
  private toSkip = 0;

  write(piece: Uint8Array): void {
    this.sizeBytes += piece.byteLength;
    let rest = piece;
    if (this.held.byteLength > 0) {
      rest = new Uint8Array(this.held.byteLength + piece.byteLength);
      rest.set(this.held);
      rest.set(piece, this.held.byteLength);
    }
    for (;;) {
      const taken = this.take(rest);
      if (taken === 0) break;
      rest = rest.subarray(taken);
      this.at += taken;
    }
    this.held = rest.slice();
  }

  /** Consumes the next field's start, or part of what it skips; 0 where more bytes are needed. */
  private take(bytes: Uint8Array): number {
    if (this.values !== undefined) {
      const n = Math.min(this.values.left, bytes.byteLength);
      this.values.hash.update(bytes.subarray(0, n));
      this.values.left -= n;
      if (this.values.left === 0) {
        this.tensors.push({ name: this.name, sizeBytes: this.values.sizeBytes, sha256: this.values.hash.digest('hex') });
        this.values = undefined;
      }
      return n;
    }
    if (this.toSkip > 0) {
      const n = Math.min(this.toSkip, bytes.byteLength);
      this.toSkip -= n;
      return n;
    }
    while (this.ends.length > 0 && this.at >= (this.ends.at(-1) as number)) {
      if (this.at > (this.ends.at(-1) as number)) throw new Error('a field passes the end of its message');
      this.ends.pop();
      this.path.pop();
    }
    const tag = varint(bytes, 0);
    if (tag === undefined) return 0;
    const field = tag.value >> 3;
    const kind = tag.value & 7;
    if (kind === 5 || kind === 1) return bytes.byteLength < tag.end + (kind === 5 ? 4 : 8) ? 0 : tag.end + (kind === 5 ? 4 : 8);
    const content = varint(bytes, tag.end);
    if (content === undefined) return 0;
    if (kind === 0) return content.end;
    if (kind !== 2) throw new Error(`wire type ${kind}`);
    const isInside = this.path.join('.');
    if ((isInside === '' && field === graphField) || (isInside === '7' && field === initializerField)) {
      this.path.push(field);
      this.ends.push(this.at + content.end + content.value);
      return content.end;
    }
    if (isInside === '7.5' && field === nameField) {
      if (bytes.byteLength < content.end + content.value) return 0;
      this.name = new TextDecoder().decode(bytes.subarray(content.end, content.end + content.value));
      return content.end + content.value;
    }
    if (isInside === '7.5' && field === rawDataField && content.value > 0) {
      this.values = { hash: createHash('sha256'), left: content.value, sizeBytes: content.value };
    } else {
      this.toSkip = content.value;
    }
    return content.end;
  }
}

/** A number of up to 53 bits, and where it ends; undefined where the bytes end within it. */
function varint(bytes: Uint8Array, begin: number): { value: number; end: number } | undefined {
  let value = 0;
  for (let at = begin, scale = 1; at < bytes.byteLength; ++at, scale *= 128) {
    const byte = bytes[at] as number;
    value += (byte & 127) * scale;
    if (byte < 128) return { value, end: at + 1 };
  }
  return undefined;
}
