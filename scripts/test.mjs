// Runs every test: sets up, builds, runs each suite, and ends with one line that counts them.
// npm test -- native wasm relaxed chromium node   runs the named suites only (default: all)
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { build, buildPreset } from './build.mjs';
import { findChrome } from './chromium.mjs';
import { Failure, buildFolder, hostNode, main, root, run, say, stage } from './steps.mjs';
import { setup } from './setup.mjs';
import { compileTests } from './test/compile.mjs';
import { runDoctestInChromium } from './test/doctest-page.mjs';

const node24 = join(root, 'node_modules/node/bin/node');
const wasmProgram = join(root, 'scripts/wasm-program.mjs');
const wasmTests = (preset) => [wasmProgram, join(buildFolder(preset), 'bitwright_tests.mjs'), '--no-colors'];
const nodeSuiteLimitMs = 60 * 60_000;

/** What a doctest program printed, as counts; a program that ended early counts as one failure. */
function readDoctest(suite, { status, output }) {
  const counted = /^doctest: (\d+) passed, (\d+) failed, (\d+) skipped$/m.exec(output);
  const skipped = [...output.matchAll(/^SKIPPED (.*)$/gm)].map((match) => match[1]);
  if (counted === null) return { passed: 0, failed: 1, skipped, failures: [`${suite}: the program did not reach its end`] };
  const [passed, failed] = [Number(counted[1]), Number(counted[2])];
  if (failed === 0 && status !== 0) return { passed, failed: 1, skipped, failures: [`${suite}: exit code ${status}`] };
  return { passed, failed, skipped, failures: [] };
}

async function doctest(suite, program, args) {
  return readDoctest(suite, await run(program, args, { mayFail: true }));
}

async function runNative() {
  await buildPreset('native');
  return doctest('native', join(buildFolder('native'), 'bitwright_tests'), ['--no-colors']);
}

async function runWasm() {
  await buildPreset('wasm-simd', ['bitwright_tests']);
  return doctest('wasm', hostNode, wasmTests('wasm-simd'));
}

async function runRelaxed() {
  await buildPreset('wasm-relaxed', ['bitwright_tests']);
  return doctest('relaxed', node24, wasmTests('wasm-relaxed'));
}

async function runChromium() {
  if (findChrome() === undefined) return skippedSuite('the relaxed test program in Chromium: no Chromium on this machine');
  await buildPreset('wasm-relaxed', ['bitwright_tests']);
  return readDoctest('chromium', await runDoctestInChromium(buildFolder('wasm-relaxed')));
}

const skippedSuite = (reason) => ({ passed: 0, failed: 0, skipped: [reason], failures: [] });

async function runNode() {
  await build();
  const files = await stage('compile tests', compileTests);
  if (files.length === 0) return { passed: 0, failed: 0, skipped: [], failures: [] };
  const folder = join(root, 'build/test-results');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const results = join(folder, 'node.json');
  const reporters = ['spec', join(root, 'scripts/test/count-reporter.mjs')];
  const { status } = await run(
    hostNode,
    [
      '--test',
      '--test-concurrency=1',
      ...reporters.map((name) => `--test-reporter=${name}`),
      '--test-reporter-destination=stdout',
      `--test-reporter-destination=${results}`,
      ...files,
    ],
    { mayFail: true, timeoutMs: nodeSuiteLimitMs },
  );
  const found = existsSync(results) ? readFileSync(results, 'utf8') : '';
  if (found === '') return { passed: 0, failed: 1, skipped: [], failures: ['node: the suite did not reach its end'] };
  const counts = JSON.parse(found);
  if (status !== 0 && counts.failed === 0) return { ...counts, failed: 1, failures: [`node: exit code ${status}`] };
  return counts;
}

const suites = { native: runNative, wasm: runWasm, relaxed: runRelaxed, chromium: runChromium, node: runNode };

main(async () => {
  const named = process.argv.slice(2);
  const unknown = named.filter((name) => !(name in suites));
  if (unknown.length > 0) throw new Failure(`No suite ${unknown.join(', ')}; there are ${Object.keys(suites).join(', ')}.`);
  await setup();
  const totals = { passed: 0, failed: 0, skipped: [], failures: [] };
  for (const [name, work] of Object.entries(suites)) {
    if (named.length > 0 && !named.includes(name)) continue;
    const counts = await stage(`tests: ${name}`, () =>
      work().catch((error) => ({ passed: 0, failed: 1, skipped: [], failures: [`${name}: ${error.message}`] })),
    );
    say(`${name}: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped.length} skipped`);
    totals.passed += counts.passed;
    totals.failed += counts.failed;
    totals.skipped.push(...counts.skipped.map((line) => `${name}: ${line}`));
    totals.failures.push(...counts.failures);
  }
  for (const line of totals.skipped) console.log(`skipped: ${line}`);
  for (const line of totals.failures) console.log(`failed: ${line}`);
  console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped.length} skipped`);
  if (totals.failed > 0) process.exitCode = 1;
});
