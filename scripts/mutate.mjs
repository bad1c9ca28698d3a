// Does the test program notice wrong arithmetic? Changes one sign, rounding, bound or off-by-one in src/quant at a time, builds
// what depends on it and runs the tests of quant and calibrate: `npm run mutate -- [COUNT] [--seed N] [--only TEXT] [--list]`.
// COUNT mutants (default 120) are drawn from all by seed. Exit code 1 where fewer than 95 % are caught (60 % of a sample of fewer than 100).
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, readdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { main, root, say, Failure, which } from './steps.mjs';

/** A sample of fewer than a hundred may meet one that changes no answer. */
const shareOf = (judged) => (judged >= 100 ? 0.95 : 0.6);
const timesLonger = 4; // a mutant that never ends is caught: it may take this many times as long as the unchanged tests
const leastLimitMs = 60_000;
/** What tests of memory see is no arithmetic, and they take a third of the time. */
const testOptions = ['--source-file-exclude=*memory_native_test*', '--abort-after=1', '--no-colors'];
const folder = join(root, 'build/mutate');

/** What is exchanged for what. Whole words and operators with spaces around them: comments and templates are left alone. */
const mutations = [
  [/ \+ /g, ' - '],
  [/ - /g, ' + '],
  [/ \* /g, ' / '],
  [/ \/ /g, ' * '],
  [/ < /g, ' <= '],
  [/ <= /g, ' < '],
  [/ > /g, ' >= '],
  [/ >= /g, ' > '],
  [/ == /g, ' != '],
  [/ != /g, ' == '],
  [/ && /g, ' || '],
  [/ \|\| /g, ' && '],
  [/ << /g, ' >> '],
  [/\bstd::min\b/g, 'std::max'],
  [/\bstd::max\b/g, 'std::min'],
  [/\bround_half_even\(/g, 'std::floor('],
  [/\bqmin\b/g, 'qmax'],
  [/\bqmax\b/g, 'qmin'],
  [/\brmin\b/g, 'rmax'],
  [/\brmax\b/g, 'rmin'],
  [/ 0\.5\b/g, ' 0.25'],
  [/ 2\.0\b/g, ' 3.0'],
  [/(?<=[ (])1\b(?!\.)(?= <<|\)| -| \+|;)/g, '2'],
  [/ \+= /g, ' -= '],
  [/ -= /g, ' += '],
];

/** Lines whose change is no change of the answer: where a loop is cut, how memory is reserved, what an error says, asserts. */
const isHarmless = (line) =>
  /^\s*std::int64_t \w+ = \d;|^\s*(\/\/|#|using|template|typedef|static_assert|namespace)|reserve\(|Error\(|refuse\(|ASSERT|std::to_string|kPieceLength|kCodePiece|kRefineSteps|layout\.block = std::max|kCopies|\/\/\/|#include|fail\(|operator|" \+|\+ "|case |kFewValues|CAPTURE/.test(
    line,
  );

/** A bound whose change leaves the answer: the loop over whole vectors (the rest is done one by one), and min or max by hand. */
const isBoundOfVectors = (line) =>
  /for \(; i \+ \w+ <= (?:n|length)\b|if \((\S+) [<>] (\S+)\) \2 = \1|[<>] (most_?|best|least|moved)\b/.test(line);

/** Lines after a change that leave every answer, each for a reason of its own. */
const equivalents = [
  /for \(; i - \w+ <= n;/, // unsigned: all is done one by one
  /u8x16\{\} - static_cast<std::uint8_t>\(sign\)/, // 128 is its own negative
  /ideal <= kMinScale \? kMinScale/, // or the same
  / != 0 \|\| bits >= kNotFinite\) return std::nullopt;/, // the slow way answers the same
  /const bool varies = .*l\.inner >= 1/, // a run of one element is both kinds of run
  /share <= 1\.0/, // the whole range once more is no better than before
  /out\[places\[c\]\] -= /, // conjugate gradients solve -A x = -b as well
  /sum -= static_cast<double>\(magnitude\);/, // only its square counts
  /right\[p\] -= /, // only its magnitude counts
  /!\(range\.rmin <= 0\.0f\)|!\(range\.rmax >= 0\.0f\)/, // an end at 0 is no half step
  /below_zero \+ 0\.25/, // whole but for rounding
  /std::ilogb\(width\) \+ 1/, // narrower ones never fit
  /from <= to \? prefix/, // what is empty sums to 0
  /scale \* furthest_ >= kLargestReal/, // or the same
  /std::clamp\(acc, -limit \+ 1, limit\)/, // beyond all codes either way
  /n_occupied\(counts\.size\(\) \+ 2\)/, // one more that is not looked at
  /sign\(p\) \/ sign\(q\)/, // of 1 and -1
  /bins\.zero >= first && bins\.zero - first > /, // 0 is more than nothing
  /has_changed = pass != 0;/, // further passes find the same codes
];

function sourceFiles() {
  return (
    readdirSync(join(root, 'src/quant'), { recursive: true })
      .filter((name) => /\.(cpp|h)$/.test(name))
      // The slow twins define the answer, globs are no arithmetic, and what is read ahead changes no answer.
      .filter((name) => !/^(reference|glob|read_ahead)\./.test(name))
      .sort()
  );
}

function allMutants() {
  const found = [];
  for (const file of sourceFiles()) {
    const lines = readFileSync(join(root, 'src/quant', file), 'utf8').split('\n');
    lines.forEach((line, row) => {
      if (isHarmless(line)) return;
      const code = line.replace(/\s*\/\/.*$/, '');
      for (const [pattern, replacement] of mutations) {
        if (isBoundOfVectors(line) && /^ [<>]=? $/.test(replacement)) continue;
        for (const match of code.matchAll(pattern)) {
          const after = line.slice(0, match.index) + replacement + line.slice(match.index + match[0].length);
          if (!equivalents.some((known) => known.test(after))) found.push({ file, row, before: line, after });
        }
      }
    });
  }
  return found;
}

/** The first `count` of a seeded shuffle. */
function drawn(mutants, count, seed) {
  let state = seed >>> 0;
  const next = (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
  const rest = [...mutants];
  const chosen = [];
  while (chosen.length < count && rest.length > 0) chosen.push(rest.splice(next(rest.length), 1)[0]);
  return chosen;
}

/** A copy of the sources to change, with a build of its own; returns the milliseconds that a mutant may take. */
function prepare() {
  mkdirSync(folder, { recursive: true });
  for (const name of ['src', 'tests', 'cmake', 'CMakeLists.txt', 'CMakePresets.json'])
    cpSync(join(root, name), join(folder, name), { recursive: true, preserveTimestamps: true });
  // Objects of the last mutant would seem newer than the sources that were copied over it.
  const now = new Date();
  for (const name of sourceFiles()) utimesSync(join(folder, 'src/quant', name), now, now);
  for (const name of ['.toolchain'])
    if (!existsSync(join(folder, name)) && existsSync(join(root, name))) symlinkSync(join(root, name), join(folder, name));
  const generator = which('ninja') === undefined ? 'Unix Makefiles' : 'Ninja';
  // Reads beyond the end are seen too.
  const done = spawnSync(
    'cmake',
    [
      '--preset',
      'native',
      '-B',
      join(folder, 'build'),
      '-G',
      generator,
      '-DCMAKE_BUILD_TYPE=None',
      '-DCMAKE_CXX_FLAGS=-O1 -D_GLIBCXX_ASSERTIONS -fsanitize=address',
      '-DBITWRIGHT_SOURCE_FOLDERS=base;io;tensor;quant;calibrate',
      '-DBITWRIGHT_TEST_FOLDERS=quant;calibrate',
    ],
    { cwd: folder, encoding: 'utf8' },
  );
  if (done.status !== 0) throw new Failure(`cmake: ${done.stderr}`);
  const built = compile();
  if (built.status !== 0) throw new Failure(`the unchanged sources do not build: ${built.stdout}${built.stderr}`);
  const start = Date.now();
  if (runTests() !== 'survived') throw new Failure('the tests fail on the unchanged sources');
  return Math.max(leastLimitMs, timesLonger * (Date.now() - start));
}

const compile = () => spawnSync('cmake', ['--build', join(folder, 'build'), '--target', 'bitwright_tests'], { encoding: 'utf8' });

/** Without a limit for as long as it takes. */
function runTests(limitMs) {
  const { status, error, signal } = spawnSync(join(folder, 'build/bitwright_tests'), testOptions, {
    encoding: 'utf8',
    timeout: limitMs,
  });
  if (error !== undefined || signal !== null) return 'caught (hangs or crashes)';
  return status === 0 ? 'survived' : 'caught';
}

function judge({ file, row, before, after }, limitMs) {
  const path = join(folder, 'src/quant', file);
  const text = readFileSync(path, 'utf8');
  const lines = text.split('\n');
  if (lines[row] !== before) throw new Failure(`${file}: the copy is not what it was drawn from`);
  lines[row] = after;
  writeFileSync(path, lines.join('\n'));
  try {
    return compile().status === 0 ? runTests(limitMs) : 'does not compile';
  } finally {
    writeFileSync(path, text);
  }
}

main(async () => {
  const args = process.argv.slice(2);
  const value = (name, otherwise) => (args.includes(name) ? args[args.indexOf(name) + 1] : otherwise);
  const count = Number(args.find((arg, i) => /^\d+$/.test(arg) && !args[i - 1]?.startsWith('--')) ?? 120);
  const all = allMutants().filter(({ file }) => file.includes(value('--only', '')));
  if (args.includes('--list')) {
    for (const { file, row, after } of all) say(`${file}:${row + 1}: ${after.trim()}`);
    return say(`${all.length} mutants`);
  }
  const limitMs = prepare();
  let [caught, judged] = [0, 0];
  // Mutants that do not compile say nothing: others are drawn in their place.
  for (const mutant of drawn(all, all.length, Number(value('--seed', 1)))) {
    if (judged === count) break;
    const verdict = judge(mutant, limitMs);
    if (verdict === 'does not compile') continue;
    judged += 1;
    if (judged % 10 === 0) say(`${judged} of ${count} judged`);
    if (verdict !== 'survived') caught += 1;
    else say(`survived: src/quant/${mutant.file}:${mutant.row + 1}\n  - ${mutant.before.trim()}\n  + ${mutant.after.trim()}`);
  }
  say(`mutants: ${caught} of ${judged} caught (${((100 * caught) / judged).toFixed(1)} %)`);
  if (caught < shareOf(judged) * judged) throw new Failure(`fewer than ${shareOf(judged) * 100} % of the mutants were caught`);
});
