/** Which module a browser loads, and from where. Relative URLs are seen from the root of the built package. */
import { chooseModule, type Choice } from './wasm/choose.js';
import type { CompiledModule, OpenOptions } from './worker/protocol.js';

interface ModuleUrls {
  readonly glue: string;
  readonly wasm: string;
}

/** Literal URLs, so that bundlers see the files. */
function ownUrls(name: string): ModuleUrls {
  switch (name) {
    case 'relaxed':
      return {
        glue: new URL('./wasm/bitwright-relaxed.mjs', import.meta.url).href,
        wasm: new URL('./wasm/bitwright-relaxed.wasm', import.meta.url).href,
      };
    case 'simd-mt':
      return {
        glue: new URL('./wasm/bitwright-simd-mt.mjs', import.meta.url).href,
        wasm: new URL('./wasm/bitwright-simd-mt.wasm', import.meta.url).href,
      };
    case 'relaxed-mt':
      return {
        glue: new URL('./wasm/bitwright-relaxed-mt.mjs', import.meta.url).href,
        wasm: new URL('./wasm/bitwright-relaxed-mt.wasm', import.meta.url).href,
      };
    default:
      return {
        glue: new URL('./wasm/bitwright-simd.mjs', import.meta.url).href,
        wasm: new URL('./wasm/bitwright-simd.wasm', import.meta.url).href,
      };
  }
}

export function chooseBrowserModule(options: OpenOptions): { choice: Choice; name: string; urls: ModuleUrls } {
  const mayWait = options.mayNotWait !== true;
  const choice = chooseModule(options, {
    canShareMemory: mayWait && globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer !== 'undefined',
    whyNotShared: mayWait
      ? 'the page is not cross-origin isolated (headers Cross-Origin-Opener-Policy and Cross-Origin-Embedder-Policy)'
      : "a page's own thread must not wait for others: leave runIn at 'worker'",
    cores: navigator.hardwareConcurrency || 1,
  });
  const name = choice.threads > 1 ? `${choice.variant}-mt` : choice.variant;
  const urls =
    options.wasmUrl === ''
      ? ownUrls(name)
      : {
          glue: new URL(`bitwright-${name}.mjs`, options.wasmUrl).href,
          wasm: new URL(`bitwright-${name}.wasm`, options.wasmUrl).href,
        };
  return { choice, name, urls };
}

/** Compiles while it arrives; from its bytes where the host does not call it application/wasm. */
export async function compile(url: string): Promise<WebAssembly.Module> {
  const answer = await fetch(url, { credentials: 'same-origin' });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.headers.get('Content-Type')?.startsWith('application/wasm') === true
    ? WebAssembly.compileStreaming(answer)
    : WebAssembly.compile(await answer.arrayBuffer());
}

/**
 * The module that the worker will ask for, compiled in the background of the page while the worker starts; nothing where that fails:
 * the worker tries again and says why.
 */
export async function compileAhead(options: OpenOptions): Promise<OpenOptions> {
  try {
    const { name, urls } = chooseBrowserModule(options);
    const compiled: CompiledModule = { name, module: await compile(urls.wasm) };
    return { ...options, compiled };
  } catch {
    return options;
  }
}
