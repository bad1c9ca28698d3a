import { basename, dirname, join } from 'node:path';

import { convert, dequantize, type ConvertResult } from '../convert.js';
import type { Model } from '../load-model.js';
import { rewrittenName } from '../output-name.js';
import type { QuantFormat } from '../recipe.js';
import { bytesText } from '../report/format.js';
import type { RunOptions } from '../types.js';
import type { WriteTo } from '../write-model.js';
import { checkOutputs, onlyPositional, withContext } from './context.js';
import { exitCodes, UsageError } from './exit-codes.js';
import { commonOptions, type CommandSpec, flag, oneOf, type OptionSpec, text, type Values } from './options.js';

const outputOptions = (name: string): Readonly<Record<string, OptionSpec>> => ({
  output: { type: 'string', short: 'o', value: 'OUT', help: `the file to write (default: ${name})` },
  'external-data': { type: 'boolean', help: 'keep the weights in one external file OUT_data' },
  force: { type: 'boolean', short: 'f', help: 'overwrite OUT (never the input)' },
});

export const convertSpec: CommandSpec = {
  name: 'convert',
  summary: 'rewrite a quantized model between QuantizeLinear pairs (qdq) and operators on codes (qoperator)',
  usage: 'convert MODEL --format qdq|qoperator [-o OUT] [options]',
  options: {
    format: { type: 'string', value: 'FORM', help: 'qdq, or qoperator (QLinearConv, QGemm, MatMulNBits ...)' },
    ...outputOptions('MODEL_FORM.onnx'),
    ...commonOptions,
  },
  examples: ['bitwright convert model_qdq.onnx --format qoperator -o model_qoperator.onnx'],
};

export const dequantizeSpec: CommandSpec = {
  name: 'dequantize',
  summary: 'write the float model that a quantized one stands for',
  usage: 'dequantize MODEL [-o OUT] [options]',
  options: { ...outputOptions('MODEL_float.onnx'), ...commonOptions },
  examples: ['bitwright dequantize model_int8.onnx -o model_float.onnx'],
};

async function rewrite(
  values: Values,
  path: string,
  form: 'float' | QuantFormat,
  work: (model: Model, to: WriteTo, run: RunOptions) => Promise<ConvertResult>,
): Promise<number> {
  const output = text(values, 'output') ?? join(dirname(path), rewrittenName(basename(path), form));
  const externalPath = join(dirname(output), `${basename(output)}_data`);
  const isExternal = flag(values, 'external-data');
  const check = (inputs: readonly string[], isSplit = isExternal): void => {
    checkOutputs(isSplit ? [output, externalPath] : [output], inputs, flag(values, 'force'));
  };
  check([path]);
  return await withContext(values, async (context) => {
    const model = await context.open(path);
    check(context.inputFiles());
    const to: WriteTo = {
      outputPath: output,
      overflowPath: externalPath,
      beforeWrite: (plan) => {
        check(context.inputFiles(), plan.isExternal);
      },
      ...(isExternal && { externalName: basename(externalPath), externalPath }),
    };
    const result = await work(model, to, context.run);
    const before = model.info.bytes + model.info.externalBytes;
    const after = result.sizeBytes + (result.external?.sizeBytes ?? 0);
    context.print(
      flag(values, 'json')
        ? JSON.stringify({ before, after, messages: result.messages, operators: result.model.info.operators })
        : [`${bytesText(before)} -> ${bytesText(after)}`, ...result.messages.map((message) => `- ${message}`)].join('\n'),
    );
    context.note(`wrote ${output}${result.external === null ? '' : ` and ${externalPath}`}`);
    result.dispose();
    model.dispose();
    return exitCodes.done;
  });
}

export async function convertCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const path = onlyPositional(positionals, 'MODEL', 'convert');
  const format = oneOf(values, 'format', ['qdq', 'qoperator'] as const);
  if (format === undefined) throw new UsageError('--format is missing: qdq or qoperator');
  return await rewrite(values, path, format, (model, to, run) => convert(model, { ...to, format }, run));
}

export async function dequantizeCommand(values: Values, positionals: readonly string[]): Promise<number> {
  return await rewrite(values, onlyPositional(positionals, 'MODEL', 'dequantize'), 'float', dequantize);
}
