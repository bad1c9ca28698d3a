// LiteRT.js as a peer: its files, which python3 makes, and itself.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { build } from 'esbuild';
import { Failure, root } from '../../scripts/steps.mjs';

/** Runs a script of this folder that writes a .tflite file. */
export function makeTflite(name, args) {
  const script = join(root, 'tests/bench', name);
  try {
    execFileSync('python3', [script, ...args], { stdio: 'pipe' });
  } catch (error) {
    throw new Failure(`${script} did not run; it needs 'pip install onnx numpy flatbuffers tflite':\n${error.stderr ?? error}`);
  }
}

/** Installs LiteRT.js in this folder on demand and bundles it there as litert.js; gives the folder of its wasm files. */
export async function bundleLiteRt(folder) {
  const peer = join(folder, 'node_modules/@litertjs/core');
  if (!existsSync(peer))
    execFileSync('npm', ['install', '--prefix', folder, '--no-save', '--no-audit', '@litertjs/core@2.5.3'], { stdio: 'inherit' });
  await build({
    stdin: { contents: "export * from '@litertjs/core';", resolveDir: folder },
    bundle: true,
    format: 'esm',
    outfile: join(folder, 'litert.js'),
    logLevel: 'error',
  });
  return join(peer, 'wasm');
}
