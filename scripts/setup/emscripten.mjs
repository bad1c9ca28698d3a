// Finds Emscripten on PATH, or unpacks Debian's packages of it into .toolchain/emscripten: no root, system untouched.
import { existsSync, lstatSync, mkdirSync, openSync, readSync, closeSync } from 'node:fs';
import { readFileSync, readdirSync, realpathSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { Failure, capture, hostNode, say, toolchain, which } from '../steps.mjs';
import { hasApt, mirrors, privateState, unpack } from './apt.mjs';

const oldestMajor = 4; // relaxed SIMD int8 dot, ES modules that run in Node, --emit-tsd
const place = join(toolchain, 'emscripten');

const howToGet =
  `Bitwright needs Emscripten ${oldestMajor} or later: put its emcc on PATH (emsdk, brew install emscripten, or your ` +
  'distribution), then run this again. On Debian and Ubuntu set-up unpacks it by itself.';

/** What is there: 'unpacked', the version on PATH, or undefined. */
export function findEmscripten() {
  if (existsSync(join(place, 'complete.json'))) {
    const { path } = JSON.parse(readFileSync(join(place, 'complete.json'), 'utf8'));
    if (path === realpathSync(place)) return 'unpacked';
    if (lstatSync(place).isSymbolicLink()) unlinkSync(place);
    else rmSync(place, { recursive: true }); // moved: its programs hold the old path of their libraries
  }
  if (which('emcc') === undefined) return undefined;
  const version = /(\d+)\.\d+\.\d+/.exec(capture('emcc', ['--version'], { mayFail: true }).stdout);
  return version !== null && Number(version[1]) >= oldestMajor ? version[0] : undefined;
}

/** Makes .toolchain/emscripten, in BITWRIGHT_TOOLCHAIN_CACHE where that names a folder which outlives the clone. */
export function unpackEmscripten() {
  if (!hasApt) throw new Failure(howToGet);
  const cache = process.env.BITWRIGHT_TOOLCHAIN_CACHE;
  const parent = cache ? resolve(cache) : toolchain;
  mkdirSync(parent, { recursive: true });
  const target = join(realpathSync(parent), 'emscripten');
  if (!existsSync(join(target, 'complete.json'))) {
    const work = `${target}.${process.pid}`;
    try {
      fetch(work);
      settle(work, target);
      rmSync(target, { recursive: true, force: true });
      renameSync(work, target);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  }
  if (!cache) return;
  rmSync(place, { recursive: true, force: true });
  mkdirSync(toolchain, { recursive: true });
  symlinkSync(target, place);
}

function fetch(work) {
  const tried = [];
  for (const [uri, suite, keyring] of sources()) {
    say(`looking for Emscripten in suite ${suite}`);
    const state = `${work}.apt`;
    rmSync(state, { recursive: true, force: true });
    const component = keyring.includes('ubuntu') ? 'universe main' : 'main';
    const options = privateState(state, `deb [signed-by=${keyring}] ${uri} ${suite} ${component}`);
    try {
      capture('apt-get', [...options, 'update']);
      const policy = capture('apt-cache', [...options, 'policy', 'emscripten']).stdout;
      const version = /Candidate: (?:\d+:)?(\d+)\.([\d.]*\d)/.exec(policy);
      if (version === null || Number(version[1]) < oldestMajor) {
        tried.push(`${suite} has ${version === null ? 'none' : `${version[1]}.${version[2]}`}`);
        continue;
      }
      say(`fetching Emscripten ${version[1]}.${version[2]} (about 160 MB)`);
      const wanted = ['emscripten', 'patchelf'];
      capture('apt-get', [...options, 'install', '-y', '--download-only', '--no-install-recommends', ...wanted]);
      say('unpacking it (about 800 MB)');
      unpack(state, work);
      return;
    } catch (error) {
      tried.push(`${suite}: ${error.message.split('\n').at(-1)}`);
    } finally {
      rmSync(state, { recursive: true, force: true });
    }
  }
  throw new Failure(
    `No package of Emscripten ${oldestMajor} or later was found (${tried.join('; ') || 'no mirror'}). ${howToGet}`,
  );
}

function* sources() {
  const keyrings = (name) => [`${name}.gpg`, `${name}.pgp`].map((file) => join('/usr/share/keyrings', file)).filter(existsSync);
  for (const uri of mirrors()) {
    const isDebian = /\/debian\/?$/.test(uri);
    const [keyring] = keyrings(isDebian ? 'debian-archive-keyring' : 'ubuntu-archive-keyring');
    if (keyring === undefined) continue;
    for (const suite of isDebian ? ['forky', 'sid'] : ['devel']) yield [uri, suite, keyring];
  }
}

// The programs want a newer C library than the system's, so they are pointed at the unpacked one, in its final place.
function settle(work, target) {
  const lib = (base) => join(base, 'usr/lib');
  const { triplet, llvm, loader } = libraries(work);
  const rpath = `${lib(target)}/${triplet}:${lib(target)}/${llvm}/lib`;
  const patchelf = (args) =>
    capture(join(lib(work), triplet, loader), [
      '--library-path',
      join(lib(work), triplet),
      join(work, 'usr/bin/patchelf'),
      ...args,
    ]);
  say('pointing its programs at their own libraries');
  for (const file of programs(work, llvm)) {
    patchelf(['--set-interpreter', join(lib(target), triplet, loader), '--force-rpath', '--set-rpath', rpath, file]);
  }
  for (const folder of [join(lib(work), triplet), join(lib(work), llvm, 'lib')]) {
    for (const name of readdirSync(folder)) {
      const file = join(folder, name);
      if (/^(libLLVM|libclang-cpp).*\.so/.test(name) && isElf(file)) patchelf(['--force-rpath', '--set-rpath', rpath, file]);
    }
  }
  configure(work, target, llvm);
}

function programs(work, llvm) {
  const wanted = [
    [
      join(work, 'usr/lib', llvm, 'bin'),
      /^(clang(-\d+)?|lld|llvm-(ar|nm|objcopy|strip|ranlib|dwarfdump|dwp|cxxfilt|symbolizer|size|readobj))$/,
    ],
    [join(work, 'usr/bin'), /^wasm-/],
  ];
  return wanted.flatMap(([folder, pattern]) =>
    readdirSync(folder)
      .filter((name) => pattern.test(name))
      .map((name) => join(folder, name))
      .filter(isElf),
  );
}

function isElf(file) {
  if (!lstatSync(file).isFile()) return false;
  const head = Buffer.alloc(4);
  const descriptor = openSync(file, 'r');
  readSync(descriptor, head, 0, 4, 0);
  closeSync(descriptor);
  return head.toString('latin1') === '\x7fELF';
}

function configure(work, target, llvm) {
  const modules = join(work, 'usr/share/node_modules'); // where Emscripten's scripts look for acorn
  if (!existsSync(modules)) symlinkSync('nodejs', modules);
  const settings = {
    LLVM_ROOT: join(target, 'usr/lib', llvm, 'bin'),
    BINARYEN_ROOT: join(target, 'usr'),
    NODE_JS: hostNode,
    CACHE: join(target, 'cache'),
  };
  const lines = Object.entries(settings).map(([key, value]) => `${key} = ${JSON.stringify(value)}\n`);
  writeFileSync(join(work, 'usr/share/emscripten/.emscripten'), lines.join(''));
  writeFileSync(join(work, 'package.json'), '{ "type": "commonjs" }\n'); // else this project's "module" holds for its scripts
  writeFileSync(join(work, 'complete.json'), JSON.stringify({ path: target }));
}

/** Makes the unpacked Python the python3 of this project's scripts, on a machine that has none for em++. */
export function offerPython() {
  const programs = join(place, 'usr/bin');
  const name = existsSync(programs) ? readdirSync(programs).find((file) => /^python3\.\d+$/.test(file)) : undefined;
  if (name === undefined) throw new Failure("em++ needs python3, which is missing: install the package 'python3'.");
  say('no python3 on PATH: em++ will use the unpacked one');
  const { triplet, loader } = libraries(place);
  const own = join(toolchain, 'bin/python3');
  for (const folder of ['bin', 'lib']) mkdirSync(join(toolchain, folder), { recursive: true });
  // Started through its loader, since patchelf breaks this program; it finds its modules in lib/ beside its bin/.
  const folder = join(place, 'usr/lib', triplet);
  const command = [join(folder, loader), '--library-path', folder, '--argv0', own, join(programs, name)];
  writeFileSync(own, `#!/bin/sh\nexec ${command.map((part) => `'${part}'`).join(' ')} "$@"\n`, { mode: 0o755 });
  rmSync(join(toolchain, 'lib', name), { force: true });
  symlinkSync(join(place, 'usr/lib', name), join(toolchain, 'lib', name));
}

function libraries(base) {
  const lib = join(base, 'usr/lib');
  const triplet = readdirSync(lib).find((name) => name.endsWith('-linux-gnu') && existsSync(join(lib, name, 'libc.so.6')));
  const llvm = readdirSync(lib)
    .filter((name) => /^llvm-\d+$/.test(name))
    .sort()
    .at(-1);
  if (triplet === undefined || llvm === undefined) throw new Failure(`The unpacked Emscripten is incomplete. ${howToGet}`);
  return { triplet, llvm, loader: readdirSync(join(lib, triplet)).find((name) => /^ld-linux.*\.so/.test(name)) };
}
