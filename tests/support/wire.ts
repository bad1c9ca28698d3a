/** Just enough protobuf to make and take apart large ONNX files, independent of the reader and writer under test. */

function varint(value: number | bigint): number[] {
  let rest = BigInt(value);
  const bytes: number[] = [];
  while (rest > 127n) {
    bytes.push(Number(rest & 127n) | 128);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

export const integer = (field: number, value: number | bigint): Uint8Array =>
  Uint8Array.from([...varint(field << 3), ...varint(value)]);

export function bytesField(field: number, content: Uint8Array | string): Uint8Array {
  const body = typeof content === 'string' ? new TextEncoder().encode(content) : content;
  return joined([Uint8Array.from([...varint((field << 3) | 2), ...varint(body.byteLength)]), body]);
}

/** The tag and length of a field whose content is written elsewhere. */
export const header = (field: number, length: number): Uint8Array =>
  Uint8Array.from([...varint((field << 3) | 2), ...varint(length)]);

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.byteLength;
  }
  return out;
}

export interface Field {
  readonly field: number;
  readonly value: bigint;
  /** Where a length-delimited content lies. */
  readonly begin: number;
  readonly end: number;
}

export function* fieldsOf(bytes: Uint8Array, begin = 0, end = bytes.byteLength): Generator<Field> {
  let at = begin;
  const next = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || at > end) throw new Error('the message ends within a number');
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < end) {
    const tag = Number(next());
    const kind = tag & 7;
    if (kind === 0) yield { field: tag >> 3, value: next(), begin: at, end: at };
    else if (kind === 2) {
      const length = Number(next());
      yield { field: tag >> 3, value: 0n, begin: at, end: at + length };
      at += length;
    } else if (kind === 5 || kind === 1) {
      at += kind === 5 ? 4 : 8;
      yield { field: tag >> 3, value: 0n, begin: at, end: at };
    } else throw new Error(`wire type ${kind}`);
  }
}

const text = (bytes: Uint8Array, { begin, end }: Field): string => new TextDecoder().decode(bytes.subarray(begin, end));

/** A MatMul by each weight [k, n] in turn: weights lie in `location`, or their contents are written by the caller. */
export interface WeightSpec {
  readonly name: string;
  readonly k: number;
  readonly n: number;
  readonly offset: number;
}

/** A model whose nodes multiply one input by each weight: all values in one external file. */
export function matMulModel(weights: readonly WeightSpec[], location: string, doc = ''): Uint8Array {
  const entry = (key: string, value: string): Uint8Array => bytesField(13, joined([bytesField(1, key), bytesField(2, value)]));
  const initializers = weights.map(({ name, k, n, offset }) =>
    bytesField(
      5,
      joined([
        integer(1, k),
        integer(1, n),
        integer(2, 1),
        bytesField(8, name),
        entry('location', location),
        entry('offset', String(offset)),
        entry('length', String(k * n * 4)),
        integer(14, 1),
      ]),
    ),
  );
  return modelOf(weights, initializers, doc);
}

/** The graph around given initializer fields. */
export function modelOf(
  weights: readonly { readonly name: string; readonly k: number; readonly n: number }[],
  initializers: readonly Uint8Array[],
  doc = '',
): Uint8Array {
  const dim = (extent: number): Uint8Array => bytesField(1, integer(1, extent));
  const value = (field: number, name: string, shape: readonly number[]): Uint8Array =>
    bytesField(
      field,
      joined([bytesField(1, name), bytesField(2, bytesField(1, joined([integer(1, 1), bytesField(2, joined(shape.map(dim)))])))]),
    );
  const nodes = weights.map(({ name }) =>
    bytesField(
      1,
      joined([
        bytesField(1, 'x'),
        bytesField(1, name),
        bytesField(2, `${name}_out`),
        bytesField(3, `${name}_node`),
        bytesField(4, 'MatMul'),
      ]),
    ),
  );
  const outputs = weights.map(({ name, n }) => value(12, `${name}_out`, [1, n]));
  const graph = joined([...nodes, bytesField(2, 'large'), ...initializers, value(11, 'x', [1, weights[0]?.k ?? 1]), ...outputs]);
  return joined([
    integer(1, 8),
    bytesField(6, doc),
    bytesField(8, joined([bytesField(1, ''), integer(2, 13)])),
    bytesField(7, graph),
  ]);
}

export interface StoredTensor {
  readonly name: string;
  readonly dims: readonly number[];
  readonly dataType: number;
  readonly location: string;
  readonly offset: number;
  readonly length: number;
}

/** The initializers of a model file, with where their external values lie. */
export function storedTensors(model: Uint8Array): StoredTensor[] {
  const found: StoredTensor[] = [];
  for (const graph of fieldsOf(model)) {
    if (graph.field !== 7) continue;
    for (const initializer of fieldsOf(model, graph.begin, graph.end)) {
      if (initializer.field !== 5) continue;
      const dims: number[] = [];
      const entries: Record<string, string> = {};
      let name = '';
      let dataType = 0;
      let inline = 0;
      for (const part of fieldsOf(model, initializer.begin, initializer.end)) {
        if (part.field === 1 && part.begin === part.end) dims.push(Number(part.value));
        else if (part.field === 1) for (const one of packed(model, part)) dims.push(one);
        else if (part.field === 2) dataType = Number(part.value);
        else if (part.field === 8) name = text(model, part);
        else if (part.field === 9) inline = part.end - part.begin;
        else if (part.field === 13) {
          const [key, value] = [...fieldsOf(model, part.begin, part.end)];
          if (key !== undefined && value !== undefined) entries[text(model, key)] = text(model, value);
        }
      }
      found.push({
        name,
        dims,
        dataType,
        location: entries['location'] ?? '',
        offset: Number(entries['offset'] ?? 0),
        length: Number(entries['length'] ?? inline),
      });
    }
  }
  return found;
}

function* packed(bytes: Uint8Array, { begin, end }: Field): Generator<number> {
  for (let at = begin; at < end;) {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++] ?? 0;
      value += (byte & 127) * scale;
      if (byte < 128) break;
    }
    yield value;
  }
}
