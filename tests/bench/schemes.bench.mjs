// Schemes on one core, in wasm, against a plain copy of the same 64 MB of floats in the same run (tests/bench/schemes.cpp, the
// best of its rounds, and of three launches: a core whose other thread serves somebody else gives two thirds of its speed, for
// seconds at a time). Builds that program; the table says what is wanted of each.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildFolder, hostNode, root, run, say, which } from '../../scripts/steps.mjs';

/** The least share of the copy's speed that is wanted. */
const wanted = {
  scan_min_max: 1,
  'histogram, 2048 bins': 0.25,
  i8: 0.9,
  i8_b32: 0.8,
  i4_b32: 0.8,
  f8e4m3fn: 0.4,
  nf4: 0.4,
  'k-means pass, 16 entries': 0.2,
};

const folder = buildFolder('wasm-bench');
if (!existsSync(join(folder, 'CMakeCache.txt'))) {
  const generator = which('ninja') === undefined ? 'Unix Makefiles' : 'Ninja';
  const parts = ['-DBITWRIGHT_SOURCE_FOLDERS=base;io;tensor;quant', '-DBITWRIGHT_TEST_FOLDERS=quant'];
  await run('cmake', ['--preset', 'wasm-simd', '-B', folder, '-G', generator, ...parts], { quiet: true });
}
await run('cmake', ['--build', folder, '--target', 'schemes'], { quiet: true });
const program = [join(root, 'scripts/wasm-program.mjs'), join(folder, 'schemes.mjs')];
const launches = 3;
const best = new Map();
for (let launch = 0; launch < launches; ++launch) {
  const { output } = await run(hostNode, program, { quiet: true });
  for (const line of output.trimEnd().split('\n')) {
    const [, name = '', ratio = ''] = /^(.{28}).*ratio ([\d.]+)$/.exec(line) ?? [];
    if (Number(ratio) > (best.get(name)?.ratio ?? -1)) best.set(name, { line, ratio: Number(ratio) });
  }
}
for (const [name, { line, ratio }] of best) {
  const least = wanted[name.trim()];
  say(least === undefined ? line : `${line}   wanted ${least}: ${ratio >= least ? 'yes' : 'NO'}`);
}
