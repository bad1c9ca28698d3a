import { deflateRawSync } from 'node:zlib';

export interface ZipEntry {
  readonly name: string;
  readonly content: Uint8Array;
  readonly method?: number;
  readonly flags?: number;
  /** The size that the directory tells, where it lies. */
  readonly toldSize?: number;
}

/** A zip archive made by hand, with whatever lies are asked for. */
export function zipFile(
  entries: readonly ZipEntry[],
  end: { readonly count?: number; readonly offset?: number } = {},
): Uint8Array {
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
