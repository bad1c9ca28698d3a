// Integer kernels on layer shapes of real networks, each beside the peak of the multiplying instruction in the same run: Node 24 and
// Chromium. The program is tests/bench/int8_kernels.cpp; BITWRIGHT_BENCH_ROWS names one of its parts (product, pointwise, dense,
// first, depthwise, network, codes, bits), BITWRIGHT_BENCH_PRESET=wasm-relaxed takes the kernels that the probe finds.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildPreset } from '../../scripts/build.mjs';
import { findChrome } from '../../scripts/chromium.mjs';
import { buildFolder, root } from '../../scripts/steps.mjs';
import { measureInPage } from './page.mjs';

const preset = process.env.BITWRIGHT_BENCH_PRESET ?? 'wasm-simd';
const program = 'int8_kernels';
const rows = process.env.BITWRIGHT_BENCH_ROWS === undefined ? [] : [process.env.BITWRIGHT_BENCH_ROWS];

function inNode() {
  const node24 = join(root, 'node_modules/node/bin/node');
  const runner = join(root, 'scripts/wasm-program.mjs');
  const args = [runner, join(buildFolder(preset), `${program}.mjs`), ...rows];
  return execFileSync(existsSync(node24) ? node24 : process.execPath, args, { encoding: 'utf8' })
    .trim()
    .split('\n');
}

const script = `
import create from './${program}.mjs';
window.measure = async (rows) => {
  const lines = [];
  const program = await create({ print: (line) => lines.push(line) });
  program.callMain(rows);
  return lines;
};
`;

const inChromium = () =>
  measureInPage({
    script,
    links: Object.fromEntries(
      ['mjs', 'wasm'].map((ending) => [`${program}.${ending}`, join(buildFolder(preset), `${program}.${ending}`)]),
    ),
    args: [rows],
  });

function show(host, lines) {
  console.log(`\n${host}\n\n| work | ms | 10^9 a second | of peak |\n|---|---|---|---|`);
  for (const line of lines) {
    const { name, best_ms: ms, gmacs, of_peak: share } = JSON.parse(line);
    console.log(`| ${name} | ${ms.toFixed(4)} | ${gmacs.toFixed(1)} | ${(100 * share).toFixed(0)} % |`);
  }
}

await buildPreset(preset, [program]);
show('Node 24', inNode());
if (findChrome() === undefined) console.log('Chromium is not on this machine.');
else show('Chromium', await inChromium());
