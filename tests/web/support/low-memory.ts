import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const modules = fileURLToPath(new URL('../../../web/dist/wasm/', import.meta.url));
const pageBytes = 65536;

/** Bytes of an unsigned LEB128 number, and its value. */
function leb(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  for (let shift = 0, i = at; ; shift += 7, ++i) {
    const byte = bytes[i] as number;
    value += (byte & 127) * 2 ** shift;
    if (byte < 128) return { value, end: i + 1 };
  }
}

/**
 * A copy of the single-threaded module whose memory may grow to `maxBytes` and no further, in `folder`; gives its wasmUrl. The
 * maximum stands in the memory section, and is written over with as many bytes.
 */
export function moduleWithLessMemory(folder: string, maxBytes: number): string {
  const name = 'bitwright-simd';
  cpSync(join(modules, `${name}.mjs`), join(folder, `${name}.mjs`));
  const wasm = new Uint8Array(readFileSync(join(modules, `${name}.wasm`)));
  let isFound = false;
  for (let at = 8; at < wasm.length;) {
    const id = wasm[at] as number;
    const size = leb(wasm, at + 1);
    if (id === 5) {
      // One memory: flags with bit 0 for a maximum, then the two numbers of pages.
      const flags = leb(wasm, size.end + 1);
      const least = leb(wasm, flags.end);
      const most = leb(wasm, least.end);
      if (wasm[size.end] !== 1 || (flags.value & 1) === 0) throw new Error('the module has no maximum of memory');
      let rest = Math.floor(maxBytes / pageBytes);
      for (let i = least.end; i < most.end; ++i, rest = Math.floor(rest / 128))
        wasm[i] = (rest % 128) | (i + 1 < most.end ? 128 : 0);
      isFound = true;
    }
    at = size.end + size.value;
  }
  if (!isFound) throw new Error('the module has no memory of its own');
  writeFileSync(join(folder, `${name}.wasm`), wasm);
  return pathToFileURL(`${folder}/`).href;
}
