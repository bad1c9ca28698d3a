/**
 * A quantized model, cut at its codes: what every QuantizeLinear writes becomes an output of its own name, and what reads it reads a
 * graph input instead. So one run gives each group (DequantizeLinear, operators, QuantizeLinear) the codes it is fed, and no error of
 * one group reaches the next. Made on the bytes of the file, without the reader and writer under test.
 */
import { bytesField, fieldsOf, integer, joined, type Field } from '../../support/wire.js';
import type { Feeds, Tensor } from '../../../web/src/node.js';

interface GraphNode {
  readonly opType: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export interface Group {
  /** Of its codes, in the whole model. */
  readonly codes: string;
  /** Operator types from the codes it reads to the codes it writes, without QuantizeLinear and DequantizeLinear. */
  readonly label: string;
}

export const cutName = (codes: string): string => `${codes}__cut`;

const decoder = new TextDecoder();
const textOf = (bytes: Uint8Array, { begin, end }: Field): string => decoder.decode(bytes.subarray(begin, end));

function graphRange(bytes: Uint8Array): Field {
  for (const field of fieldsOf(bytes)) if (field.field === 7) return field;
  throw new Error('the file has no graph');
}

function readNode(bytes: Uint8Array, { begin, end }: Field): GraphNode {
  const node = { opType: '', inputs: [] as string[], outputs: [] as string[] };
  for (const part of fieldsOf(bytes, begin, end)) {
    if (part.field === 1) node.inputs.push(textOf(bytes, part));
    else if (part.field === 2) node.outputs.push(textOf(bytes, part));
    else if (part.field === 4) node.opType = textOf(bytes, part);
  }
  return node;
}

/** The nodes of the main graph, in file order. */
export function nodesOf(bytes: Uint8Array): GraphNode[] {
  const { begin, end } = graphRange(bytes);
  return [...fieldsOf(bytes, begin, end)].filter(({ field }) => field === 1).map((field) => readNode(bytes, field));
}

/** Each group by the codes that it writes. A group may hold float operators that no runtime fuses: its label shows them all. */
export function groupsOf(bytes: Uint8Array): Group[] {
  const nodes = nodesOf(bytes);
  const producers = new Map(nodes.flatMap((node) => node.outputs.map((output) => [output, node] as const)));
  const labelOf = (quantize: GraphNode): string => {
    const found = new Set<GraphNode>();
    const waiting = quantize.inputs.slice(0, 1);
    for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
      const node = producers.get(value);
      if (node === undefined || found.has(node) || node.opType === 'DequantizeLinear' || node.opType === 'Constant') continue;
      found.add(node);
      waiting.push(...node.inputs);
    }
    const label = nodes.filter((node) => found.has(node)).map((node) => node.opType);
    if (label.length > 4) return `${label.slice(0, 3).join('+')}+${label.length - 3} more`;
    return label.length === 0 ? 'QuantizeLinear' : label.join('+');
  };
  return nodes
    .filter(({ opType }) => opType === 'QuantizeLinear')
    .map((node) => ({ codes: node.outputs[0] ?? '', label: labelOf(node) }));
}

const elementTypes = { u8: 2, i8: 3, u16: 4, i16: 5 } as const;

function valueInfo(name: string, { dtype, shape }: Tensor): Uint8Array {
  const elementType = (elementTypes as Partial<Record<Tensor['dtype'], number>>)[dtype];
  if (elementType === undefined) throw new Error(`${name}: ${dtype} is no type of codes`);
  const dims = joined(shape.map((extent) => bytesField(1, integer(1, extent))));
  const tensorType = joined([integer(1, elementType), bytesField(2, dims)]);
  return joined([bytesField(1, name), bytesField(2, bytesField(1, tensorType))]);
}

/** Fields of one message with those that `change` names replaced; `null` leaves one out. */
function rewritten(
  bytes: Uint8Array,
  { begin, end }: Pick<Field, 'begin' | 'end'>,
  change: (field: Field) => Uint8Array | null | undefined,
): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let at = begin;
  for (const field of fieldsOf(bytes, begin, end)) {
    const replacement = change(field);
    if (replacement === undefined) parts.push(bytes.subarray(at, field.end));
    else if (replacement !== null) parts.push(replacement);
    at = field.end;
  }
  return parts;
}

/** @param codes what each QuantizeLinear of the model wrote in some run: types and shapes are taken from it */
export function cutAtCodes(bytes: Uint8Array, codes: Feeds): Uint8Array {
  const graph = rewritten(bytes, graphRange(bytes), (field) => {
    if (field.field === 13) {
      const name = [...fieldsOf(bytes, field.begin, field.end)].find((part) => part.field === 1);
      return name !== undefined && textOf(bytes, name) in codes ? null : undefined;
    }
    if (field.field !== 1 || readNode(bytes, field).opType !== 'QuantizeLinear') return undefined;
    const node = rewritten(bytes, field, (part) => (part.field === 2 ? bytesField(2, cutName(textOf(bytes, part))) : undefined));
    return bytesField(1, joined(node));
  });
  const inputs = Object.entries(codes).map(([name, tensor]) => bytesField(11, valueInfo(name, tensor)));
  const outputs = Object.entries(codes).map(([name, tensor]) => bytesField(12, valueInfo(cutName(name), tensor)));
  return joined(
    rewritten(bytes, { begin: 0, end: bytes.byteLength }, (field) =>
      field.field === 7 ? bytesField(7, joined([...graph, ...inputs, ...outputs])) : undefined,
    ),
  );
}
