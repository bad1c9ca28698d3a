/** Every code with its meaning; the same list as src/base/error_codes.inc (a test keeps them equal). */
export const errorMeanings = {
  invalid_argument: 'a value given by the caller is out of its documented range',
  bad_model: 'the model file breaks its format',
  bad_graph: 'the graph is not well formed: cycle, missing input, duplicate name, wrong attribute',
  bad_data: 'a sample, image or array file breaks its format',
  bad_recipe: 'the recipe has an unknown key or an impossible value',
  bad_external_data: "external data is missing, outside the model's folder, or does not fit",
  limit_exceeded: 'a named limit was passed',
  unsupported: 'the feature or operator is not supported here',
  shape_mismatch: 'shapes or element types do not fit together',
  pattern_unmatched: 'an include or exclude pattern matches nothing',
  nothing_quantized: 'no node or tensor could be quantized',
  not_smaller: 'the result would not be smaller than the input',
  accuracy_missed: 'the accuracy target was not met',
  out_of_memory: 'memory could not be had',
  io_failed: 'reading or writing failed',
  aborted: 'the caller cancelled',
  disposed: 'the object was disposed before',
  toolkit_lost: 'the worker or the engine of a toolkit stopped: open a new one',
  internal: 'an assertion of the library failed: please report it',
} as const;

export type ErrorCode = keyof typeof errorMeanings;

/** How an error crosses a worker's border. */
export interface ErrorData {
  readonly name: string;
  readonly code: ErrorCode;
  readonly message: string;
  /** The node, tensor or file at fault; empty where none is known. */
  readonly subject: string;
  readonly stack?: string | undefined;
}

/** The only error the package throws, apart from the reason of an aborted signal. */
export class QuantError extends Error {
  override readonly name = 'QuantError';
  readonly code: ErrorCode;
  readonly subject: string;

  constructor(code: ErrorCode, message: string, subject = '') {
    super(message);
    this.code = code;
    this.subject = subject;
  }
}

export function isErrorCode(text: string): text is ErrorCode {
  return Object.hasOwn(errorMeanings, text);
}

export function toErrorData(error: unknown): ErrorData {
  if (error instanceof QuantError) {
    return { name: error.name, code: error.code, message: error.message, subject: error.subject, stack: error.stack };
  }
  if (error instanceof RangeError && /memory|allocation|buffer/i.test(error.message)) {
    return { name: 'QuantError', code: 'out_of_memory', message: error.message, subject: '', stack: error.stack };
  }
  if (error instanceof Error) {
    return { name: 'QuantError', code: 'internal', message: error.message, subject: '', stack: error.stack };
  }
  return { name: 'QuantError', code: 'internal', message: String(error), subject: '' };
}

export function fromErrorData(data: ErrorData): QuantError {
  const error = new QuantError(data.code, data.message, data.subject);
  if (data.stack !== undefined) error.stack = data.stack;
  return error;
}
