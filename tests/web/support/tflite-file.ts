/** Just enough of a .tflite file (a flatbuffer) to know one operator, its options and its tensors. */

import type { OnnxType } from './onnx-file.js';

const elementTypes: Readonly<Partial<Record<number, OnnxType>>> = { 0: 'f32', 2: 'i32', 4: 'i64', 7: 'i16', 9: 'i8' };

export interface TfliteTensor {
  readonly type: OnnxType;
  readonly shape: readonly number[];
  readonly scales: readonly number[];
  /** The stored values; empty where they are fed or computed. */
  readonly bytes: Uint8Array;
}

export interface TfliteOperator {
  /** Number of the builtin operator. */
  readonly code: number;
  readonly inputs: readonly TfliteTensor[];
  /** Places of the fed inputs among `inputs`. */
  readonly fed: readonly number[];
  readonly output: TfliteTensor;
  readonly optionInt8: (field: number) => number;
  readonly optionInt32: (field: number, otherwise?: number) => number;
  readonly optionFloat: (field: number) => number;
}

class Table {
  constructor(
    private readonly view: DataView,
    private readonly at: number,
  ) {}

  static root(view: DataView): Table {
    return new Table(view, view.getUint32(0, true));
  }
  /** Where a field's content lies; 0 where it is left out. */
  private place(field: number): number {
    const vtable = this.at - this.view.getInt32(this.at, true);
    const offset = 4 + 2 * field;
    if (offset >= this.view.getUint16(vtable, true)) return 0;
    const found = this.view.getUint16(vtable + offset, true);
    return found === 0 ? 0 : this.at + found;
  }
  int8(field: number): number {
    const at = this.place(field);
    return at === 0 ? 0 : this.view.getInt8(at);
  }
  int32(field: number, otherwise = 0): number {
    const at = this.place(field);
    return at === 0 ? otherwise : this.view.getInt32(at, true);
  }
  float(field: number): number {
    const at = this.place(field);
    return at === 0 ? 0 : this.view.getFloat32(at, true);
  }
  table(field: number): Table | undefined {
    const at = this.place(field);
    return at === 0 ? undefined : new Table(this.view, at + this.view.getUint32(at, true));
  }
  private list<T>(field: number, stride: number, read: (at: number) => T): T[] {
    const at = this.place(field);
    if (at === 0) return [];
    const start = at + this.view.getUint32(at, true);
    return Array.from({ length: this.view.getUint32(start, true) }, (_, i) => read(start + 4 + stride * i));
  }
  tables = (field: number): Table[] => this.list(field, 4, (at) => new Table(this.view, at + this.view.getUint32(at, true)));
  ints = (field: number): number[] => this.list(field, 4, (at) => this.view.getInt32(at, true));
  floats = (field: number): number[] => this.list(field, 4, (at) => this.view.getFloat32(at, true));
  bytes = (field: number): Uint8Array => Uint8Array.from(this.list(field, 1, (at) => this.view.getUint8(at)));
}

const none = (): never => {
  throw new Error('the file lacks a table that it must have');
};

/** The first operator of the first subgraph. */
export function firstOperator(file: Uint8Array): TfliteOperator {
  const model = Table.root(new DataView(file.buffer, file.byteOffset, file.byteLength));
  const graph = model.tables(2)[0] ?? none();
  const operator = graph.tables(3)[0] ?? none();
  const code = model.tables(1)[operator.int32(0)] ?? none();
  const tensors = graph.tables(0).map((tensor): TfliteTensor => {
    const type = elementTypes[tensor.int8(1)] ?? none();
    const bytes = (model.tables(4)[tensor.int32(2)] ?? none()).bytes(0);
    return { type, shape: tensor.ints(0), scales: tensor.table(4)?.floats(2) ?? [], bytes };
  });
  const inputs = operator.ints(1);
  const options = operator.table(4);
  return {
    code: Math.max(code.int8(0), code.int32(3)),
    inputs: inputs.map((i) => tensors[i] ?? none()),
    fed: graph.ints(1).map((i) => inputs.indexOf(i)),
    output: tensors[operator.ints(2)[0] ?? -1] ?? none(),
    optionInt8: (field) => options?.int8(field) ?? 0,
    optionInt32: (field, otherwise = 0) => options?.int32(field, otherwise) ?? otherwise,
    optionFloat: (field) => options?.float(field) ?? 0,
  };
}
