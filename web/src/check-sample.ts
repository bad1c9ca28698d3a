import { QuantError } from './errors.js';
import type { Sample, Tensor } from './types.js';

const form = "a tensor is { dtype, shape, data }, as { dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) }";

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null;
const isShape = (value: unknown): boolean => Array.isArray(value) && value.every((extent) => typeof extent === 'number');

/**
 * Refuses what is no tensor, which types cannot where the caller has none. Whether element type, shape and size fit each other and
 * the model is the core's to check.
 *
 * @param what names the tensor in the message
 * @throws QuantError `invalid_argument`
 */
export function checkTensor(tensor: Tensor, what: string, subject: string): void {
  const fail = (finding: string): never => {
    throw new QuantError('invalid_argument', `${what}: ${finding}; ${form}`, subject);
  };
  if (!isObject(tensor)) fail('is no tensor');
  const { dtype, shape, data } = tensor as { [Key in keyof Tensor]?: unknown };
  if (typeof dtype !== 'string') fail(dtype === undefined ? 'dtype is missing' : 'dtype is no name of an element type');
  if (!isShape(shape)) fail(shape === undefined ? 'shape is missing' : 'shape is no list of numbers');
  if (!ArrayBuffer.isView(data)) fail(data === undefined ? 'data is missing' : 'data is no typed array');
}

/**
 * Refuses what is no sample, and a feed that is no tensor.
 *
 * @throws QuantError `invalid_argument`
 */
export function checkSample(sample: Sample): void {
  const fail = (finding: string): never => {
    throw new QuantError('invalid_argument', `${finding}; a sample is { feeds } or { image, input, preprocessing }`);
  };
  if (!isObject(sample)) fail('the sample is no object');
  if ('feeds' in sample) {
    if (!isObject(sample.feeds)) fail('feeds are no object of tensors by input name');
    for (const [name, tensor] of Object.entries(sample.feeds)) checkTensor(tensor, `input '${name}'`, name);
  } else if (!(sample.image instanceof Uint8Array || (typeof Blob !== 'undefined' && sample.image instanceof Blob)))
    fail('the sample has neither feeds nor a picture as Uint8Array or Blob');
}
