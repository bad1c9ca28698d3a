// Fetches what the build and the tests need and the machine lacks. Says what it does; a second run has nothing to do.
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findChrome } from './chromium.mjs';
import { Failure, capture, main, root, run, say, stage, toolchain, which } from './steps.mjs';
import { hasApt, install, isRoot, unpackHeaders } from './setup/apt.mjs';
import { findEmscripten, offerPython, unpackEmscripten } from './setup/emscripten.mjs';

const needed = [
  { program: 'g++', packageName: 'g++', why: 'the native build' },
  { program: 'cmake', packageName: 'cmake', why: 'every build' },
  { program: 'python3', packageName: 'python3', why: 'em++' },
];
const welcome = [
  { program: 'ninja', packageName: 'ninja-build', without: 'builds use make' },
  { program: 'ccache', packageName: 'ccache', without: 'a clean build takes as long as the first' },
  { program: 'chromium', packageName: 'chromium', without: 'browser tests are skipped' },
  { program: 'clang++', packageName: 'clang', without: 'no second native compiler and no fuzzing' },
  { program: 'clang-tidy', packageName: 'clang-tidy', without: 'npm run tidy checks nothing' },
  { program: 'clang-format', packageName: 'clang-format', without: 'C++ formatting is not checked' },
];
const headers = [
  { path: 'protozero/version.hpp', packageName: 'libprotozero-dev' },
  { path: 'eigen3/Eigen/Core', packageName: 'libeigen3-dev' },
  { path: 'doctest/doctest.h', packageName: 'doctest-dev' },
];
const headerRoots = [join(toolchain, 'headers/usr/include'), '/usr/include', '/usr/local/include', '/opt/homebrew/include'];

const isMissing = ({ program }) => which(program) === undefined && !(program === 'chromium' && findChrome() !== undefined);
const headerIsMissing = ({ path }) =>
  !headerRoots.some((folder) => existsSync(join(folder, path)) || existsSync(join(folder, path.replace('eigen3/', ''))));

async function systemPackages() {
  const wanted = [...needed, ...welcome].filter(isMissing).map((entry) => entry.packageName);
  wanted.push(...headers.filter(headerIsMissing).map((entry) => entry.packageName));
  if (hasApt && isRoot) {
    if (which('clang++') === undefined) wanted.push('libclang-rt-dev');
    const refused = await install(wanted);
    if (refused.length > 0) say(`apt has no ${refused.join(', ')}`);
  }
  const lacking = headers.filter(headerIsMissing).map((entry) => entry.packageName);
  if (lacking.length > 0 && hasApt) unpackHeaders(lacking);
  const absent = headers.filter(headerIsMissing).map((entry) => entry.packageName);
  if (absent.length > 0)
    throw new Failure(`Header libraries are missing: install ${absent.join(', ')} (the names of Debian's packages).`);
}

function nameWhatIsMissing() {
  const [major] = process.versions.node.split('.');
  if (Number(major) < 20) throw new Failure(`Node 20 or later is needed; this is ${process.versions.node}.`);
  for (const { program, packageName, why } of needed) {
    if (which(program) === undefined)
      throw new Failure(`${program} is missing, and ${why} needs it: install the package ${packageName}.`);
  }
  const version = /(\d+)\.(\d+)/.exec(capture('cmake', ['--version']).stdout);
  if (Number(version[1]) < 3 || (Number(version[1]) === 3 && Number(version[2]) < 25)) {
    throw new Failure(`CMake 3.25 or later is needed; this is ${version[0]}.`);
  }
  for (const entry of welcome.filter(isMissing)) {
    say(`note: ${entry.program} is missing (package ${entry.packageName}): ${entry.without}.`);
  }
}

// The package `node` (24) is for one test run; its link would take the place of the user's Node in npm's scripts.
function dropNodeLink() {
  rmSync(join(root, 'node_modules/.bin/node'), { force: true });
}

async function nodePackages() {
  const lock = createHash('sha256')
    .update(readFileSync(join(root, 'package-lock.json')))
    .digest('hex');
  const stamp = join(root, 'node_modules/.bitwright-stamp');
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === lock) return dropNodeLink();
  say('npm ci');
  const env = { ONNXRUNTIME_NODE_INSTALL: 'skip' }; // its CPU library is in the package; the hook would fetch CUDA's
  await run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'], { quiet: true, env });
  dropNodeLink();
  writeFileSync(stamp, lock);
}

/** Everything, in order; cheap when nothing is missing. */
export async function setup() {
  mkdirSync(toolchain, { recursive: true });
  await stage('set-up: programs and headers', async () => {
    await systemPackages();
    if (which('python3') === undefined && hasApt) {
      if (findEmscripten() === undefined) unpackEmscripten();
      offerPython();
    }
    nameWhatIsMissing();
  });
  await stage('set-up: Emscripten', async () => {
    const found = findEmscripten();
    if (found === undefined) unpackEmscripten();
    else say(found === 'unpacked' ? 'unpacked in .toolchain' : `emcc ${found} on PATH`);
  });
  await stage('set-up: node packages', nodePackages);
}

if (process.argv[1] === new URL(import.meta.url).pathname) main(setup);
