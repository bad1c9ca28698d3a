import { statSync } from 'node:fs';
import { basename, resolve } from 'node:path';

import { loadModel, type Model } from '../load-model.js';
import { openToolkit } from '../node.js';
import type { Toolkit } from '../toolkit.js';
import type { ByteInput, RunOptions } from '../types.js';
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
        const external: Record<string, ByteInput> = externalFiles(path, text(values, 'external-root'));
        const model = await loadModel(toolkit, path, { name: basename(path), external }, { signal: controller.signal });
        opened.push(model);
        return model;
      },
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

/** Refuses an output that is the input, or that is there already without --force. */
export function checkOutput(output: string, inputs: readonly string[], isForced: boolean): void {
  let existing;
  try {
    existing = statSync(output);
  } catch {
    return;
  }
  for (const input of inputs) {
    const status = statSync(input, { throwIfNoEntry: false });
    if (
      resolve(input) === resolve(output) ||
      (status !== undefined && status.ino === existing.ino && status.dev === existing.dev)
    ) {
      throw new UsageError(`the output '${output}' is the input; give another name`);
    }
  }
  if (existing.isDirectory()) throw new UsageError(`the output '${output}' is a folder; give a file name`);
  if (!isForced) throw new UsageError(`the output '${output}' exists; add --force to overwrite it`);
}
