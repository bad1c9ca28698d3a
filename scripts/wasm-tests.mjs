// Runs the wasm build of the test program in this Node: node scripts/wasm-tests.mjs build/wasm-simd [doctest options].
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, ...args] = process.argv.slice(2);
const { default: create } = await import(pathToFileURL(resolve(join(folder, 'bitwright_tests.mjs'))).href);
const module = await create({ print: (line) => console.log(line), printErr: (line) => console.error(line) });
process.exitCode = module.callMain(['--no-colors', ...args]);
