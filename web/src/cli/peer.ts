/** Packages that the user may have installed. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { QuantError } from '../errors.js';
import type { OnnxRuntime } from '../runners/onnxruntime.js';

export type OnnxRuntimeModule = OnnxRuntime & { readonly env?: { readonly wasm?: { numThreads?: number } } };

const isMissing = (error: unknown): boolean =>
  ['ERR_MODULE_NOT_FOUND', 'MODULE_NOT_FOUND'].includes((error as { code?: string } | null)?.code ?? '');

/** Beside this package, or in the folder where the command runs. */
async function importPeer(name: string): Promise<unknown> {
  try {
    return await import(name);
  } catch (error) {
    if (!isMissing(error)) throw error;
    const path = createRequire(join(process.cwd(), 'index.js')).resolve(name);
    return await import(pathToFileURL(path).href);
  }
}

/**
 * The first of these packages that is installed.
 *
 * @throws QuantError `unsupported` where none is, or where it does not load
 */
export async function importOnnxRuntime(...names: readonly [string, ...string[]]): Promise<OnnxRuntimeModule> {
  for (const name of names) {
    try {
      const found = (await importPeer(name)) as Partial<OnnxRuntimeModule> & { readonly default?: OnnxRuntimeModule };
      return (found.InferenceSession === undefined ? found.default : found) as OnnxRuntimeModule;
    } catch (error) {
      if (isMissing(error)) continue;
      throw new QuantError(
        'unsupported',
        `${name} does not load: ${error instanceof Error ? error.message : String(error)}`,
        name,
      );
    }
  }
  throw new QuantError('unsupported', `${names.join(' or ')} is not installed here: npm install ${names[0]}`, names[0]);
}
