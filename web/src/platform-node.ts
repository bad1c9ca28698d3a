/** The host's platform in Node. Relative URLs are seen from the root of the built package. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeSync,
  constants,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { basename, dirname, join, sep } from 'node:path';
import { pathToFileURL } from 'node:url';

import { QuantError } from './errors.js';
import type { CoreFactory, CoreSource } from './wasm/core.js';
import { chooseModule } from './wasm/choose.js';
import { bytesSource, memorySink, messageOf, readerSource, writerSink } from './worker/byte-io.js';
import type { OpenedSink, Platform } from './worker/platform.js';
import type { OpenOptions, SourceSpec } from './worker/protocol.js';

async function loadCore(options: OpenOptions): ReturnType<Platform['loadCore']> {
  const choice = chooseModule(options, { canShareMemory: true, whyNotShared: '', cores: availableParallelism() });
  const name = `bitwright-${choice.variant}${choice.threads > 1 ? '-mt' : ''}`;
  const folder = options.wasmUrl === '' ? new URL('./wasm/', import.meta.url) : new URL(options.wasmUrl);
  try {
    const glue = (await import(/* webpackIgnore: true */ /* @vite-ignore */ new URL(`${name}.mjs`, folder).href)) as {
      default: CoreFactory;
    };
    const wasmBinary = await readFile(new URL(`${name}.wasm`, folder));
    const core = await glue.default({ wasmBinary, poolSize: choice.threads - 1 });
    return { core, info: { ...choice, version: core.version() } };
  } catch (error) {
    throw new QuantError(
      'io_failed',
      `the module ${name}.wasm cannot be loaded: ${messageOf(error)}; run 'npm run build' in a clone`,
    );
  }
}

/** One file descriptor a source, closed when the source is no longer reachable or the process ends. */
const descriptors = new FinalizationRegistry<number>((descriptor) => {
  closeSync(descriptor);
});

function openFile(path: string, name: string, flags = 0): number {
  try {
    // A fifo or a device must not make us wait.
    return openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | flags);
  } catch (error) {
    throw new QuantError('io_failed', `${name}: cannot be opened: ${messageOf(error)}`, name);
  }
}

/** Takes the descriptor over. */
function descriptorSource(descriptor: number, name: string): CoreSource {
  const status = fstatSync(descriptor);
  if (!status.isFile()) {
    closeSync(descriptor);
    throw new QuantError('io_failed', `${name}: not a regular file`, name);
  }
  const read = (offset: number, target: Uint8Array): void => {
    let done = 0;
    while (done < target.byteLength) {
      const n = readSync(descriptor, target, done, target.byteLength - done, offset + done);
      if (n === 0) throw new Error(`${name}: the file became shorter while it was read`);
      done += n;
    }
  };
  const source = readerSource(name, status.size, read, undefined);
  descriptors.register(source, descriptor);
  return source;
}

function openSource(spec: SourceSpec): CoreSource {
  switch (spec.kind) {
    case 'bytes':
      return bytesSource(spec.name, spec.bytes);
    case 'path':
      return descriptorSource(openFile(spec.path, spec.name), spec.name);
    case 'reader':
      return readerSource(spec.name, spec.reader.sizeBytes, (offset, target) => spec.reader.read(offset, target), undefined);
    case 'blob':
      throw new QuantError('invalid_argument', `${spec.name}: a Blob is read asynchronously in Node; give its bytes or a path`);
  }
}

/** Files in the model's own folder only: regular ones with one name, reached through no link. */
function openSibling(model: SourceSpec, name: string): CoreSource | null {
  if (model.kind !== 'path') return null;
  const refuse = (finding: string): never => {
    throw new QuantError(
      'bad_external_data',
      `external data '${name}' ${finding}; give it by name with the option 'external' (CLI: --external-root DIR)`,
      name,
    );
  };
  const folder = realpathSync(dirname(model.path));
  const wished = join(folder, name);
  const status = lstatSync(wished, { throwIfNoEntry: false });
  if (status === undefined) return null;
  if (status.isSymbolicLink()) refuse('is a link');
  if (!status.isFile()) refuse('is no regular file');
  const descriptor = openFile(wished, name, constants.O_NOFOLLOW ?? 0);
  const opened = fstatSync(descriptor);
  // Asked after opening: what is read is what was looked at, whatever happens to the names meanwhile.
  const isSame = opened.ino === status.ino && opened.dev === status.dev;
  const isInside = realpathSync(wished) === wished && wished.startsWith(folder.endsWith(sep) ? folder : folder + sep);
  if (isSame && isInside && opened.nlink === 1) return descriptorSource(descriptor, name);
  closeSync(descriptor);
  return refuse(
    !isSame ? 'changed while it was opened' : isInside ? 'has a second name (a hard link)' : "leaves the model's folder",
  );
}

/** Takes away what processes that were killed left beside this target. */
function removeLeftovers(path: string): void {
  const prefix = `.${basename(path)}.`;
  for (const name of readdirSync(dirname(path))) {
    const owner = name.startsWith(prefix) ? /^(\d+)\.[0-9a-z]+\.tmp$/.exec(name.slice(prefix.length))?.[1] : undefined;
    if (owner === undefined) continue;
    try {
      process.kill(Number(owner), 0);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') unlinkSync(join(dirname(path), name));
    }
  }
}

/** Writes beside the target under a temporary name; the target appears by renaming, or not at all. */
function pathSink(path: string): OpenedSink {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`);
  let descriptor: number;
  try {
    removeLeftovers(path);
    descriptor = openSync(temporary, 'wx');
  } catch (error) {
    throw new QuantError('io_failed', `${basename(path)}: cannot be written: ${messageOf(error)}`, path);
  }
  let sizeBytes = 0;
  let isOpen = true;
  const discard = (): void => {
    if (isOpen) closeSync(descriptor);
    isOpen = false;
    try {
      unlinkSync(temporary);
    } catch {
      // It was renamed or never made: nothing is left to take away.
    }
    process.off('exit', discard);
  };
  process.once('exit', discard);
  return {
    core: {
      write: (view) => {
        try {
          for (let done = 0; done < view.byteLength;) done += writeSync(descriptor, view, done, view.byteLength - done);
          sizeBytes += view.byteLength;
          return '';
        } catch (error) {
          return `${basename(path)}: ${messageOf(error)}`;
        }
      },
    },
    finish: () => {
      try {
        fsyncSync(descriptor);
        closeSync(descriptor);
        isOpen = false;
        renameSync(temporary, path);
      } catch (error) {
        throw new QuantError('io_failed', `${basename(path)}: cannot be written: ${messageOf(error)}`, path);
      }
      process.off('exit', discard);
      return { bytes: new Uint8Array(0), sizeBytes };
    },
    discard,
  };
}

/** Writes a whole file under its name, or none. */
export function writeWhole(path: string, content: Uint8Array | string): void {
  const sink = pathSink(path);
  try {
    const problem = sink.core.write(typeof content === 'string' ? new TextEncoder().encode(content) : content);
    if (problem !== '') throw new QuantError('io_failed', problem, path);
    sink.finish();
  } catch (error) {
    sink.discard();
    throw error;
  }
}

export const nodePlatform: Platform = {
  loadCore,
  openSource,
  openSibling,
  openSink: (spec) => {
    if (spec.kind === 'path') return pathSink(spec.path);
    return spec.kind === 'writer' ? writerSink(spec.writer) : memorySink(spec.expectedBytes);
  },
  memoryBytes: totalmem,
  decodeOtherImage: null,
};

export function fileUrl(path: string): string {
  return pathToFileURL(path).href;
}
