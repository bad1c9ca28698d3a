// npm run fuzz -- SECONDS     all targets within SECONDS, as many at a time as there are cores; corpora are kept and grow
// npm run fuzz -- --coverage  lines and branches of src/files and src/model that the corpora reach
// npm run fuzz -- --minimize  corpora without what others cover already
// Corpora lie in build/fuzz-corpus, or below the folder that BITWRIGHT_FUZZ_CORPUS names. Seeds: the packs of conformance tests
// in the shared folder, where it is there, and the bundled example.
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join, resolve } from 'node:path';
import { buildPreset } from './build.mjs';
import { Failure, buildFolder, capture, main, root, run, say } from './steps.mjs';

const corpora = resolve(root, process.env.BITWRIGHT_FUZZ_CORPUS ?? 'build/fuzz-corpus');
const shared = process.env.BITWRIGHT_SHARED ?? join(root, '../shared');
const maxSeedBytes = 8192;

/** The targets, by their sources. */
export const targets = readdirSync(join(root, 'tests/fuzz'))
  .filter((name) => name.endsWith('_fuzz.cpp'))
  .map((name) => name.replace('.cpp', ''));

/** Small models of the conformance packs, by their hash. */
function makeSeeds() {
  const folder = join(corpora, 'seeds');
  if (existsSync(folder)) return folder;
  const unpacked = join(corpora, 'unpacked');
  mkdirSync(unpacked, { recursive: true });
  const making = `${folder}.tmp`;
  mkdirSync(making, { recursive: true });
  for (const pack of ['onnx_backend_tests.tar.gz', 'onnxruntime_testdata.tar.gz']) {
    const path = join(shared, 'data/conformance', pack);
    if (existsSync(path)) capture('tar', ['-xzf', path, '-C', unpacked]);
    else say(`no ${pack}: fewer seeds`);
  }
  for (const name of readdirSync(unpacked, { recursive: true })) {
    const path = join(unpacked, name);
    if (!/\.(onnx|ort|pb)$/.test(name) || !statSync(path).isFile() || statSync(path).size > maxSeedBytes) continue;
    const bytes = readFileSync(path);
    writeFileSync(join(making, createHash('sha1').update(bytes).digest('hex')), bytes);
  }
  rmSync(unpacked, { recursive: true, force: true });
  renameSync(making, folder);
  return folder;
}

function corpusOf(target) {
  const folder = join(corpora, target);
  if (!existsSync(folder)) {
    mkdirSync(folder, { recursive: true });
    if (target !== 'kernels_fuzz') cpSync(makeSeeds(), folder, { recursive: true });
  }
  return folder;
}

/** One seed, so that a run can be repeated, and what stops a run that goes astray; the engine's own limits are far below. */
const guards = ['-seed=1', '-rss_limit_mb=2048', '-malloc_limit_mb=1024', '-timeout=20', '-max_len=16384'];

export async function fuzz(seconds, names = targets) {
  await buildPreset('fuzz', names);
  const findings = join(corpora, 'findings');
  mkdirSync(findings, { recursive: true });
  let isClean = true;
  const corpusFolders = new Map(names.map((target) => [target, corpusOf(target)]));
  const nLanes = Math.min(names.length, availableParallelism());
  const share = Math.max(1, Math.floor((seconds * nLanes) / names.length));
  const waiting = [...names];
  const fuzzNext = async () => {
    const target = waiting.shift();
    if (target === undefined) return;
    const corpus = corpusFolders.get(target);
    const args = [...guards, `-max_total_time=${share}`, '-print_final_stats=1'];
    const program = join(buildFolder('fuzz'), target);
    const { status, output } = await run(program, [...args, `-artifact_prefix=${findings}/${target}-`, corpus], {
      mayFail: true,
      quiet: true,
      timeoutMs: (seconds + 600) * 1000,
    });
    const executions = /stat::number_of_executed_units:\s*(\d+)/.exec(output)?.[1] ?? '?';
    console.log(`${target}: ${executions} executions, ${readdirSync(corpus).length} files in its corpus`);
    if (status !== 0) {
      isClean = false;
      console.log(output.split('\n').slice(-60).join('\n'));
    }
    await fuzzNext();
  };
  await Promise.all(Array.from({ length: nLanes }, fuzzNext));
  if (!isClean) throw new Failure(`The fuzzers found something: ${findings}.`);
}

async function coverage() {
  await buildPreset('coverage', targets);
  const folder = buildFolder('coverage');
  const profiles = [];
  for (const target of targets) {
    const profile = join(folder, `${target}.profraw`);
    const env = { LLVM_PROFILE_FILE: profile };
    await run(join(folder, target), ['-runs=0', ...guards, corpusOf(target)], { quiet: true, mayFail: true, env });
    profiles.push(profile);
  }
  capture('llvm-profdata', ['merge', '-sparse', ...profiles, '-o', join(folder, 'fuzz.profdata')]);
  const [first, ...others] = targets.map((target) => join(folder, target));
  const objects = others.flatMap((path) => ['-object', path]);
  const profile = `-instr-profile=${join(folder, 'fuzz.profdata')}`;
  const { files } = JSON.parse(capture('llvm-cov', ['export', '-summary-only', first, ...objects, profile]).stdout).data[0];
  // Names are as the compiler was given them, relative where it was.
  const rows = files
    .map(({ filename, summary }) => ({ name: /src\/(?:files|model)\/.*$/.exec(filename)?.[0], ...summary }))
    .filter(({ name }) => name !== undefined);
  const share = ({ covered, count }) => (count === 0 ? '-' : `${((100 * covered) / count).toFixed(1)} % of ${count}`);
  const total = (key) => ({
    covered: rows.reduce((sum, row) => sum + row[key].covered, 0),
    count: rows.reduce((sum, row) => sum + row[key].count, 0),
  });
  console.log('| file | lines | branches |\n|---|---|---|');
  for (const row of [...rows, { name: 'all', lines: total('lines'), branches: total('branches') }])
    console.log(`| ${row.name} | ${share(row.lines)} | ${share(row.branches)} |`);
}

async function minimize() {
  await buildPreset('fuzz', targets);
  for (const target of targets) {
    const from = corpusOf(target);
    const to = `${from}.minimal`;
    rmSync(to, { recursive: true, force: true });
    mkdirSync(to);
    await run(join(buildFolder('fuzz'), target), ['-merge=1', ...guards, to, from], { quiet: true, timeoutMs: 3_600_000 });
    rmSync(from, { recursive: true });
    renameSync(to, from);
    console.log(`${target}: ${readdirSync(from).length} files`);
  }
}

main(async () => {
  const [what = '60', ...names] = process.argv.slice(2);
  if (what === '--coverage') return coverage();
  if (what === '--minimize') return minimize();
  const seconds = Number(what);
  if (!(seconds > 0)) throw new Failure(`'${what}' is no number of seconds`);
  const unknown = names.filter((name) => !targets.includes(name));
  if (unknown.length > 0) throw new Failure(`No target ${unknown.join(', ')}; there are ${targets.join(', ')}.`);
  return fuzz(seconds, names.length > 0 ? names : targets);
});
