import { parseArgs, type ParseArgsConfig } from 'node:util';

import { UsageError } from './exit-codes.js';

export interface OptionSpec {
  readonly type: 'string' | 'boolean';
  readonly multiple?: boolean;
  readonly short?: string;
  /** How the value is called in `--help`. */
  readonly value?: string;
  readonly help: string;
}

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly usage: string;
  readonly options: Readonly<Record<string, OptionSpec>>;
  readonly examples: readonly string[];
}

export const commonOptions: Readonly<Record<string, OptionSpec>> = {
  json: { type: 'boolean', help: 'print the result as JSON on stdout' },
  quiet: { type: 'boolean', short: 'q', help: 'no progress on stderr' },
  'external-root': {
    type: 'string',
    value: 'DIR',
    help: "allow external data to resolve inside DIR (default: the model's own folder, no links)",
  },
  threads: { type: 'string', value: 'N', help: 'threads of the engine (default 1)' },
  help: { type: 'boolean', short: 'h', help: 'this text' },
};

export const sampleOptions: Readonly<Record<string, OptionSpec>> = {
  calibrate: {
    type: 'string',
    multiple: true,
    value: 'PATH',
    help: 'folder of pictures, .npy, .npz keyed by input names, or TensorProto .pb (test_data_set_* folders too)',
  },
  limit: { type: 'string', value: 'N', help: 'take at most N samples, spread over all' },
  labels: { type: 'string', value: 'CSV', help: 'file,class_index rows: accuracy is measured' },
  'label-offset': { type: 'string', value: 'N', help: 'added to every class index (1 for models with a background class)' },
  preprocess: { type: 'string', value: 'NAME', help: 'imagenet, minus1_1, 0_1 or 0_255' },
  mean: { type: 'string', value: 'R,G,B', help: 'of pixels in 0..1' },
  std: { type: 'string', value: 'R,G,B', help: 'of pixels in 0..1' },
  crop: { type: 'string', value: 'HxW', help: 'centre crop (default: the size in the graph)' },
  resize: { type: 'string', value: 'N', help: 'shorter side before the crop; 0 stretches (default: crop / 0.875)' },
  color: { type: 'string', value: 'ORDER', help: 'rgb, bgr or grey' },
  feedback: { type: 'string', multiple: true, value: 'OUT=IN', help: 'carry state: output OUT of a run is input IN of the next' },
};

export type Values = Readonly<Record<string, string | boolean | readonly (string | boolean)[] | undefined>>;

/** Parses one command's words; unknown options and missing values are usage errors that name the option. */
export function parseCommand(
  spec: CommandSpec,
  words: readonly string[],
): { readonly values: Values; readonly positionals: readonly string[] } {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, option] of Object.entries(spec.options)) {
    options[name] = {
      type: option.type,
      ...(option.multiple === true && { multiple: true }),
      ...(option.short !== undefined && { short: option.short }),
    };
  }
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true, strict: true });
  } catch (error) {
    const message = error instanceof Error ? (error.message.split('. To specify')[0] ?? '') : String(error);
    throw new UsageError(`${message}; see 'bitwright ${spec.name} --help'`);
  }
}

export function text(values: Values, name: string): string | undefined {
  const value = values[name];
  return typeof value === 'string' ? value : undefined;
}

export function texts(values: Values, name: string): readonly string[] {
  const value = values[name];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

export function flag(values: Values, name: string): boolean {
  return values[name] === true;
}

export function integer(values: Values, name: string, range: { readonly min: number; readonly max: number }): number | undefined {
  const given = text(values, name);
  if (given === undefined) return undefined;
  const value = Number(given);
  if (given.trim() === '' || !Number.isInteger(value) || value < range.min || value > range.max) {
    throw new UsageError(`--${name} is '${given}'; an integer from ${range.min} to ${range.max} is needed`);
  }
  return value;
}

export function oneOf<T extends string>(values: Values, name: string, allowed: readonly T[]): T | undefined {
  const given = text(values, name);
  if (given === undefined) return undefined;
  const found = allowed.find((word) => word === given);
  if (found === undefined) throw new UsageError(`--${name} is '${given}'; one of ${allowed.join(', ')} is needed`);
  return found;
}

export function threeNumbers(values: Values, name: string): readonly [number, number, number] | undefined {
  const given = text(values, name);
  if (given === undefined) return undefined;
  const numbers = given.split(',').map(Number);
  const [a, b = a, c = a] = numbers;
  const isGood = (numbers.length === 1 || numbers.length === 3) && numbers.every(Number.isFinite);
  if (!isGood || a === undefined || b === undefined || c === undefined)
    throw new UsageError(`--${name} is '${given}'; one or three numbers, as 0.485,0.456,0.406, are needed`);
  return [a, b, c];
}

export function helpText(spec: CommandSpec): string {
  const rows = Object.entries(spec.options).map(([name, option]) => {
    const left = `${option.short === undefined ? '    ' : `-${option.short}, `}--${name}${option.value === undefined ? '' : ` ${option.value}`}`;
    return `  ${left.padEnd(30)} ${option.help}`;
  });
  return [
    `bitwright ${spec.usage}`,
    '',
    spec.summary,
    '',
    ...rows,
    '',
    'Examples:',
    ...spec.examples.map((line) => `  ${line}`),
    '',
  ].join('\n');
}
