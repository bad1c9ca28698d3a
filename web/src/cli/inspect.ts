import { inspect } from '../inspect.js';
import type { Model } from '../load-model.js';
import { schemeReportText } from '../report/scheme-text.js';
import { modelInfoText } from '../report/terminal.js';
import { rangeMethods } from '../scheme-overrides.js';
import { type SchemeInput, tryScheme } from '../try-scheme.js';
import type { RunOptions } from '../types.js';
import { onlyPositional, withContext } from './context.js';
import { exitCodes, UsageError } from './exit-codes.js';
import { commonOptions, type CommandSpec, flag, integer, oneOf, text, type Values } from './options.js';
import { overridesFrom, setOption } from './set-option.js';

const maxCount = 2 ** 31 - 1;

export const inspectSpec: CommandSpec = {
  name: 'inspect',
  summary: 'show inputs, outputs, operators and the largest tensors of a model, or what a scheme makes of one tensor',
  usage: 'inspect MODEL [--tensor NAME [--scheme SCHEME]] [options]',
  options: {
    tensor: { type: 'string', value: 'NAME', help: 'a constant of the model: histogram, code grid and error under a scheme' },
    scheme: { type: 'string', value: 'SCHEME', help: "one of 'bitwright schemes' (default i8)" },
    bits: { type: 'string', value: 'N', help: 'of a code, in the place of the usual ones of the scheme' },
    granularity: { type: 'string', value: 'WORD', help: 'per_tensor, per_channel, per_block or per_token' },
    'block-size': { type: 'string', value: 'N', help: 'elements that share a scale, for per_block' },
    clipping: { type: 'string', value: 'WORD', help: rangeMethods.join(', ') },
    'clip-ratio': { type: 'string', value: 'R', help: 'multiplies both ends of the clipping range: above 0, at most 1' },
    rounding: { type: 'string', value: 'WORD', help: 'nearest_even, stochastic or floor' },
    seed: { type: 'string', value: 'N', help: 'of stochastic rounding and of codebooks' },
    set: setOption,
    axis: { type: 'string', value: 'N', help: 'of channels or blocks (default: what the node that reads the tensor takes)' },
    scale: { type: 'string', value: 'N', help: 'which scale the grid is shown of (default 0)' },
    ...commonOptions,
  },
  examples: [
    'bitwright inspect model.onnx',
    'bitwright inspect model.onnx --json | jq .operators',
    'bitwright inspect model.onnx --tensor conv1.weight --scheme nf4',
    'bitwright inspect model.onnx --tensor fc.weight --scheme i4_b32 --block-size 128 --clipping mse',
    'bitwright inspect model.onnx --tensor fc.weight --scheme pq4 --set entries=64 --set columnGroup=8',
  ],
};

function schemeFrom(values: Values): SchemeInput {
  const given = {
    bits: integer(values, 'bits', { min: 1, max: 16 }),
    granularity: oneOf(values, 'granularity', ['per_tensor', 'per_channel', 'per_block', 'per_token']),
    blockSize: integer(values, 'block-size', { min: 1, max: maxCount }),
    clipping: oneOf(values, 'clipping', rangeMethods),
    clipRatio: text(values, 'clip-ratio') === undefined ? undefined : Number(text(values, 'clip-ratio')),
    rounding: oneOf(values, 'rounding', ['nearest_even', 'stochastic', 'floor']),
    seed: integer(values, 'seed', { min: 0, max: Number.MAX_SAFE_INTEGER }),
  };
  const place = {
    axis: integer(values, 'axis', { min: -32, max: 31 }),
    scaleIndex: integer(values, 'scale', { min: 0, max: maxCount }),
  };
  const known = (all: object): object => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
  return { scheme: text(values, 'scheme') ?? 'i8', ...overridesFrom(values, known(given)), ...known(place) };
}

async function tensorText(model: Model, tensor: string, values: Values, run: RunOptions): Promise<string> {
  const scheme = schemeFrom(values);
  const report = await tryScheme({ model, tensor }, scheme, run);
  if (flag(values, 'json')) return JSON.stringify(report);
  return schemeReportText(tensor, scheme.scheme, report, process.stdout.columns ?? 100);
}

export async function inspectCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const path = onlyPositional(positionals, 'MODEL', 'inspect');
  const tensor = text(values, 'tensor');
  const stray = Object.keys(inspectSpec.options).find(
    (name) => !(name in commonOptions) && name !== 'tensor' && values[name] !== undefined,
  );
  if (tensor === undefined && stray !== undefined) throw new UsageError(`--${stray} needs --tensor NAME`);
  return await withContext(values, async (context) => {
    const model = await context.open(path);
    try {
      if (tensor !== undefined) {
        context.print(await tensorText(model, tensor, values, context.run));
      } else {
        const info = await inspect(model, context.run);
        context.print(flag(values, 'json') ? JSON.stringify(info) : modelInfoText(info));
      }
    } finally {
      model.dispose();
    }
    return exitCodes.done;
  });
}
