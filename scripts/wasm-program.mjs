// Runs a program built for wasm in this Node: node scripts/wasm-program.mjs build/wasm-simd/bitwright_tests.mjs [options].
import { resolve } from 'node:path';
import { pathToFileURL } from 'node:url';

const [program, ...args] = process.argv.slice(2);
const { default: create } = await import(pathToFileURL(resolve(program)).href);
const module = await create({ print: (line) => console.log(line), printErr: (line) => console.error(line) });
process.exitCode = module.callMain(args);
