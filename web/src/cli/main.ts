#!/usr/bin/env node
import { QuantError } from '../errors.js';
import { benchCommand, benchSpec, explainCommand, explainSpec } from './bench.js';
import { convertCommand, convertSpec, dequantizeCommand, dequantizeSpec } from './convert.js';
import { compareCommand, compareSpec } from './compare.js';
import { exitCodeHelp, exitCodeOf, exitCodes, UsageError } from './exit-codes.js';
import { inspectCommand, inspectSpec } from './inspect.js';
import { type CommandSpec, helpText, parseCommand, type Values } from './options.js';
import { quantizeCommand, quantizeSpec } from './quantize.js';
import { runCommand, runSpec } from './run.js';
import { schemesCommand, schemesSpec } from './schemes.js';
import { packageVersion } from './version.js';

interface Command {
  readonly spec: CommandSpec;
  run(values: Values, positionals: readonly string[]): Promise<number>;
}

const commands: readonly Command[] = [
  { spec: inspectSpec, run: inspectCommand },
  { spec: quantizeSpec, run: quantizeCommand },
  { spec: convertSpec, run: convertCommand },
  { spec: dequantizeSpec, run: dequantizeCommand },
  { spec: compareSpec, run: compareCommand },
  { spec: runSpec, run: runCommand },
  { spec: explainSpec, run: explainCommand },
  { spec: benchSpec, run: benchCommand },
  { spec: schemesSpec, run: schemesCommand },
];

function overview(): string {
  return [
    'bitwright COMMAND [options]: quantize ONNX models and measure what it costs. Nothing leaves this machine.',
    '',
    ...commands.map(({ spec }) => `  ${spec.name.padEnd(10)} ${spec.summary}`),
    '',
    "'bitwright COMMAND --help' tells more; --version the version.",
    exitCodeHelp,
    '',
  ].join('\n');
}

async function main(words: readonly string[]): Promise<number> {
  const [name, ...rest] = words;
  if (name === undefined || name === '--help' || name === '-h' || name === 'help') {
    process.stdout.write(overview());
    return name === undefined ? exitCodes.usage : exitCodes.done;
  }
  if (name === '--version' || name === '-v') {
    process.stdout.write(`${packageVersion()}\n`);
    return exitCodes.done;
  }
  const command = commands.find(({ spec }) => spec.name === name);
  if (command === undefined)
    throw new UsageError(`'${name}' is not a command; there are ${commands.map(({ spec }) => spec.name).join(', ')}`);
  if (rest.includes('--help') || rest.includes('-h')) {
    process.stdout.write(`${helpText(command.spec)}\n${exitCodeHelp}\n`);
    return exitCodes.done;
  }
  const { values, positionals } = parseCommand(command.spec, rest);
  return await command.run(values, positionals);
}

/** One line per error: code and sentence. `--json` gets it on stdout as an object. */
function report(error: unknown, isJson: boolean): number {
  const code =
    error instanceof QuantError
      ? error.code
      : error instanceof UsageError
        ? 'usage'
        : exitCodeOf(error) === exitCodes.interrupted
          ? 'aborted'
          : 'internal';
  const message = (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, ' ');
  const subject = error instanceof QuantError ? error.subject : '';
  if (isJson) process.stdout.write(`${JSON.stringify({ error: { code, message, subject } })}\n`);
  process.stderr.write(`bitwright: ${code}: ${message}\n`);
  if (code === 'internal' && process.env['BITWRIGHT_DEBUG'] && error instanceof Error)
    process.stderr.write(`${error.stack ?? ''}\n`);
  return exitCodeOf(error);
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader of a pipe went away: nobody is left to tell.
  process.exit(error.code === 'EPIPE' ? exitCodes.done : exitCodes.failed);
});
// Without a reader of progress the work goes on.
process.stderr.on('error', () => undefined);
const words = process.argv.slice(2);
try {
  process.exitCode = await main(words);
} catch (error) {
  process.exitCode = report(error, words.includes('--json'));
}
