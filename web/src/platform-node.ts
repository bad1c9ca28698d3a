/** The host's platform in Node. Relative URLs are seen from the root of the built package. */
import {
  closeSync,
  fstatSync,
  fsyncSync,
  openSync,
  readSync,
  realpathSync,
  renameSync,
  unlinkSync,
  writeSync,
  constants,
} from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
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

function pathSource(path: string, name: string): CoreSource {
  let descriptor: number;
  try {
    descriptor = openSync(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw new QuantError('io_failed', `${name}: cannot be opened: ${messageOf(error)}`, name);
  }
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
      return pathSource(spec.path, spec.name);
    case 'reader':
      return readerSource(spec.name, spec.reader.sizeBytes, (offset, target) => spec.reader.read(offset, target), undefined);
    case 'blob':
      throw new QuantError('invalid_argument', `${spec.name}: a Blob is read asynchronously in Node; give its bytes or a path`);
  }
}

/** Files in the model's own folder only, after links are resolved; regular files with one name only (no hard links). */
function openSibling(model: SourceSpec, name: string): CoreSource | null {
  if (model.kind !== 'path') return null;
  const folder = realpathSync(dirname(model.path));
  const wished = join(folder, name);
  let real: string;
  try {
    real = realpathSync(wished);
  } catch {
    return null;
  }
  if (real !== wished || !real.startsWith(folder.endsWith(sep) ? folder : folder + sep)) {
    throw new QuantError(
      'bad_external_data',
      `external data '${name}' is a link or leaves the model's folder; give it by name with the option 'external' (CLI: --external-root)`,
      name,
    );
  }
  return pathSource(real, name);
}

/** Writes beside the target under a temporary name; the target appears by renaming, or not at all. */
function pathSink(path: string): OpenedSink {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`);
  let descriptor: number;
  try {
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
      fsyncSync(descriptor);
      closeSync(descriptor);
      isOpen = false;
      renameSync(temporary, path);
      process.off('exit', discard);
      return { bytes: new Uint8Array(0), sizeBytes };
    },
    discard,
  };
}

export const nodePlatform: Platform = {
  loadCore,
  openSource,
  openSibling,
  openSink: (spec) => {
    if (spec.kind === 'path') return pathSink(spec.path);
    return spec.kind === 'writer' ? writerSink(spec.writer) : memorySink(spec.expectedBytes);
  },
  decodeOtherImage: null,
};

export function fileUrl(path: string): string {
  return pathToFileURL(path).href;
}
