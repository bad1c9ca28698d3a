// Running programs, naming failures, timing stages: what every script here needs.
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
export const toolchain = join(root, '.toolchain');

/** Where presets build: build/<preset>, or below the folder that BITWRIGHT_BUILD_DIR names. */
export const buildFolder = (preset) => join(process.env.BITWRIGHT_BUILD_DIR ?? join(root, 'build'), preset);

/** The user's own Node: the package `node` (24, for the relaxed module) puts another first on npm's PATH. */
export const hostNode = process.env.npm_node_execpath ?? process.execPath;

/** A failure whose message is the whole story: printed without a stack. */
export class Failure extends Error {}

export function say(line) {
  process.stderr.write(`${line}\n`);
}

/** The path of a program on PATH, or undefined. */
export function which(program) {
  for (const folder of searchPath().split(delimiter)) {
    const path = join(folder, program);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      continue;
    }
  }
  return undefined;
}

// A python3 that set-up unpacked serves em++ where the machine has none.
function searchPath() {
  const own = join(toolchain, 'bin');
  const path = process.env.PATH ?? '';
  return existsSync(own) ? `${path}${delimiter}${own}` : path;
}

function environment(extra) {
  return { ...process.env, PATH: searchPath(), ...extra };
}

/** Runs a program to its end without stdin; its output is returned, and a failure shows it. */
export function capture(program, args, options = {}) {
  const result = spawnSync(program, args, {
    cwd: options.cwd ?? root,
    env: environment(options.env),
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  });
  if (result.error) throw new Failure(`${program} did not start: ${result.error.message}`);
  if (result.status !== 0 && !options.mayFail) {
    const tail = `${result.stdout}${result.stderr}`.trim().split('\n').slice(-30).join('\n');
    throw new Failure(`${[program, ...args].join(' ')} failed:\n${tail}`);
  }
  return { status: result.status ?? 1, stdout: result.stdout, stderr: result.stderr };
}

/** Runs a program in view of the user. Resolves with {status, output}; throws when it fails, unless `mayFail`. */
export function run(program, args, options = {}) {
  return new Promise((done, fail) => {
    const child = spawn(program, args, {
      cwd: options.cwd ?? root,
      env: environment(options.env),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const take = (stream) => (chunk) => {
      output += chunk;
      if (!options.quiet) stream.write(chunk);
    };
    child.stdout.on('data', take(process.stdout));
    child.stderr.on('data', take(process.stderr));
    let timedOut = false;
    const limit = setTimeout(
      () => {
        timedOut = true;
        child.kill('SIGKILL');
      },
      options.timeoutMs ?? 30 * 60_000,
    );
    child.on('error', (error) => fail(new Failure(`${program} did not start: ${error.message}`)));
    child.on('close', (code, signal) => {
      clearTimeout(limit);
      const status = code ?? 1;
      if (timedOut) output += `\n${program}: no end within its time limit, killed\n`;
      else if (signal) output += `\n${program}: ended by ${signal}\n`;
      if (status === 0 || options.mayFail) return done({ status, output });
      const tail = options.quiet ? `:\n${output.trim().split('\n').slice(-40).join('\n')}` : '';
      fail(new Failure(`${[program, ...args].join(' ')} failed with exit code ${status}${tail}`));
    });
  });
}

/** Names a stage on stderr, and its seconds when it took more than one. */
export async function stage(name, work) {
  say(`== ${name}`);
  const start = performance.now();
  const answer = await work();
  const seconds = (performance.now() - start) / 1000;
  if (seconds > 1) say(`== ${name}: ${seconds.toFixed(1)} s`);
  return answer;
}

/** Runs a script's main function; a Failure is printed as its sentence. */
export function main(work) {
  work().catch((error) => {
    say(error instanceof Failure ? `\nFAILED: ${error.message}` : error.stack);
    process.exitCode = 1;
  });
}
