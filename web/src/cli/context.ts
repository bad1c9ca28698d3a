import { existsSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

import { loadModel, type Model } from '../load-model.js';
import { openToolkit } from '../node.js';
import type { Toolkit } from '../toolkit.js';
import type { RunOptions } from '../types.js';
import { UsageError } from './exit-codes.js';
import { externalFiles } from './external.js';
import { flag, integer, text, type Values } from './options.js';
import { progressPrinter } from './progress.js';

/** What every command has: the engine, a signal that Ctrl-C aborts, and progress on stderr. */
export interface Context {
  readonly toolkit: Toolkit;
  readonly values: Values;
  readonly run: RunOptions;
  /** The result, on stdout. */
  print(text: string): void;
  /** Notes, on stderr. */
  note(text: string): void;
  open(path: string): Promise<Model>;
  /** Every file that models were read from; a model's own file stands first. */
  inputFiles(): readonly string[];
}

export async function withContext(values: Values, command: (context: Context) => Promise<number>): Promise<number> {
  const controller = new AbortController();
  const onInterrupt = (): void => {
    controller.abort(new DOMException('interrupted', 'AbortError'));
  };
  process.once('SIGINT', onInterrupt);
  process.once('SIGTERM', onInterrupt);
  const progress = progressPrinter(flag(values, 'quiet'));
  const threads = integer(values, 'threads', { min: 1, max: 64 }) ?? 1;
  const toolkit = await openToolkit({ threads, runIn: 'worker' });
  const opened: Model[] = [];
  const inputs: string[] = [];
  try {
    return await command({
      toolkit,
      values,
      run: { signal: controller.signal, onProgress: progress.onProgress },
      print: (line) => {
        progress.end();
        process.stdout.write(`${line}\n`);
      },
      note: (line) => {
        progress.end();
        if (!flag(values, 'quiet')) process.stderr.write(`${line}\n`);
      },
      open: async (path) => {
        const external = externalFiles(path, text(values, 'external-root'));
        const model = await loadModel(toolkit, path, { name: basename(path), external }, { signal: controller.signal });
        opened.push(model);
        inputs.push(...filesOf(model, path, external));
        return model;
      },
      inputFiles: () => inputs,
    });
  } finally {
    progress.end();
    process.off('SIGINT', onInterrupt);
    process.off('SIGTERM', onInterrupt);
    for (const model of opened) model.dispose();
    await toolkit.dispose();
  }
}

/** The one model of a command. */
export function onlyPositional(positionals: readonly string[], what: string, command: string): string {
  const [first, ...rest] = positionals;
  if (first === undefined) throw new UsageError(`${what} is missing; see 'bitwright ${command} --help'`);
  if (rest.length > 0) throw new UsageError(`'${rest[0]}' is one argument too many; see 'bitwright ${command} --help'`);
  return first;
}

/** Equal for all names of one file; for one that is not there, its place. */
function identityOf(path: string): string {
  try {
    const { dev, ino } = statSync(path, { bigint: true });
    return `${dev}:${ino}`;
  } catch {
    const folder = dirname(resolve(path));
    return join(existsSync(folder) ? realpathSync(folder) : folder, basename(path));
  }
}

/** Refuses outputs that are an input, another output or a folder, and without --force those that are there already. */
export function checkOutputs(outputs: readonly string[], inputs: readonly string[], isForced: boolean): void {
  const known = inputs.map(identityOf);
  const taken = new Set<string>();
  for (const output of outputs) {
    const identity = identityOf(output);
    const input = known.indexOf(identity);
    if (input >= 0)
      throw new UsageError(`the output '${output}' is the input${input === 0 ? '' : "'s external data"}; give another name`);
    if (taken.has(identity)) throw new UsageError(`two outputs would be written to '${output}'; give another name`);
    taken.add(identity);
    const existing = statSync(output, { throwIfNoEntry: false });
    if (existing?.isDirectory() === true) throw new UsageError(`the output '${output}' is a folder; give a file name`);
    if (existing !== undefined && !isForced) throw new UsageError(`the output '${output}' exists; add --force to overwrite it`);
  }
}

/** A model's own file, then its external data. */
function filesOf(model: Model, path: string, external: Readonly<Record<string, string>>): string[] {
  return [path, ...model.externalNames.map((name) => external[name] ?? join(dirname(path), name))];
}
