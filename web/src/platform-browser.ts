/** The host's platform in a browser's worker. Relative URLs are seen from the root of the built package. */
import { QuantError } from './errors.js';
import { chooseBrowserModule, compile } from './browser-module.js';
import type { Core, CoreFactory, CoreSource } from './wasm/core.js';
import { bytesSource, maxCopiedBytes, memorySink, readerSource } from './worker/byte-io.js';
import type { Picture, Platform } from './worker/platform.js';
import type { OpenOptions, SourceSpec } from './worker/protocol.js';

/** In the type library of workers, which does not go together with that of pages. */
declare const FileReaderSync: new () => { readAsArrayBuffer(blob: Blob): ArrayBuffer };

async function loadCore(options: OpenOptions): ReturnType<Platform['loadCore']> {
  const { choice, name, urls } = chooseBrowserModule(options);
  try {
    const [glue, module] = await Promise.all([
      import(/* webpackIgnore: true */ /* @vite-ignore */ urls.glue) as Promise<{ default: CoreFactory }>,
      options.compiled?.name === name ? options.compiled.module : compile(urls.wasm),
    ]);
    const core: Core = await glue.default({
      poolSize: choice.threads - 1,
      instantiateWasm: (imports, done) => {
        done(new WebAssembly.Instance(module, imports), module);
        return {};
      },
    });
    return { core, info: { ...choice, version: core.version() } };
  } catch (error) {
    throw new QuantError(
      'io_failed',
      `the module ${urls.wasm} cannot be loaded: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** FileReaderSync exists in workers only, which is where this runs. */
function blobSource(blob: Blob, name: string): CoreSource {
  const readBlob = (offset: number, target: Uint8Array): void => {
    const buffer = new FileReaderSync().readAsArrayBuffer(blob.slice(offset, offset + target.byteLength));
    if (buffer.byteLength !== target.byteLength) throw new Error(`${name}: the file changed while it was read`);
    target.set(new Uint8Array(buffer));
  };
  if (blob.size <= maxCopiedBytes) {
    const bytes = new Uint8Array(blob.size);
    readBlob(0, bytes);
    return bytesSource(name, bytes);
  }
  return readerSource(name, blob.size, readBlob, undefined);
}

function openSource(spec: SourceSpec): CoreSource {
  if (spec.kind === 'bytes') return bytesSource(spec.name, spec.bytes);
  if (spec.kind === 'blob') return blobSource(spec.blob, spec.name);
  throw new QuantError('invalid_argument', `${spec.name}: a ${spec.kind} cannot be read in a browser; give bytes or a Blob`);
}

/** WebP, AVIF, GIF ...: whatever this browser shows. */
async function decodeOtherImage(bytes: Uint8Array, name: string): Promise<Picture> {
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes.slice()]), { colorSpaceConversion: 'none', premultiplyAlpha: 'none' });
  } catch {
    throw new QuantError('bad_data', `${name}: not a picture that this browser can decode`, name);
  }
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext('2d', { willReadFrequently: true });
  if (context === null) throw new QuantError('unsupported', `${name}: this browser gives no canvas to decode with`, name);
  context.drawImage(bitmap, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  bitmap.close();
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0, o = 0; o < rgb.length; i += 4, o += 3) {
    rgb[o] = data[i] as number;
    rgb[o + 1] = data[i + 1] as number;
    rgb[o + 2] = data[i + 2] as number;
  }
  return { rgb, width, height };
}

export const browserPlatform: Platform = {
  loadCore,
  openSource,
  openSibling: (): CoreSource | null => null,
  openSink: (spec) => {
    if (spec.kind !== 'bytes') throw new QuantError('invalid_argument', 'a browser writes to memory only');
    return memorySink(spec.expectedBytes);
  },
  memoryBytes: () => {
    // In GiB, rounded down to a power of two and at most 8, to tell little about the machine; not in every browser.
    const { deviceMemory } = navigator as { deviceMemory?: number };
    return deviceMemory === undefined ? Number.MAX_SAFE_INTEGER : deviceMemory * 2 ** 30;
  },
  decodeOtherImage,
};
