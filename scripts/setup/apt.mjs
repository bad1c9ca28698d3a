// Debian's package tools, used as far as this user may: installed as root, otherwise unpacked beside the project.
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { capture, run, say, toolchain, which } from '../steps.mjs';

export const hasApt = which('apt-get') !== undefined && which('dpkg') !== undefined;
export const isRoot = process.getuid?.() === 0;

const quiet = { DEBIAN_FRONTEND: 'noninteractive' };
let listsAreFresh = false;

/** Installs packages system-wide; returns those that could not be had. */
export async function install(packages) {
  if (packages.length === 0) return [];
  say(`installing ${packages.join(', ')}`);
  if (!listsAreFresh) await run('apt-get', ['update'], { quiet: true, mayFail: true });
  listsAreFresh = true;
  const attempt = async (names) => {
    const args = ['install', '-y', '-q', '--no-install-recommends', ...names];
    return (await run('apt-get', args, { quiet: true, mayFail: true, env: quiet })).status === 0;
  };
  if (await attempt(packages)) return [];
  const refused = [];
  for (const name of packages) if (!(await attempt([name]))) refused.push(name);
  return refused;
}

/** Options that give apt a private state in `folder`, so that the system's is neither read nor changed. */
export function privateState(folder, sources) {
  for (const part of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(folder, part), { recursive: true });
  const settings = [`Dir::State::lists=${folder}/lists`, `Dir::Cache=${folder}/cache`, `Dir::State::status=${folder}/status`];
  writeFileSync(join(folder, 'status'), ''); // nothing counts as installed; apt puts its lock beside this file
  if (sources !== undefined) {
    writeFileSync(join(folder, 'sources.list'), `${sources}\n`);
    settings.push(`Dir::Etc::sourcelist=${folder}/sources.list`, 'Dir::Etc::sourceparts=-');
  }
  settings.push('Acquire::Check-Valid-Until=false'); // a frozen mirror serves as well; signatures are checked all the same
  if (isRoot) settings.push('APT::Sandbox::User=root');
  return settings.flatMap((setting) => ['-o', setting]);
}

/** Unpacks every fetched archive of a private state into `target`, and drops the archives. */
export function unpack(folder, target) {
  const archives = join(folder, 'cache/archives');
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(archives)) {
    if (name.endsWith('.deb')) capture('dpkg', ['-x', join(archives, name), target]);
  }
  rmSync(folder, { recursive: true, force: true });
}

/** Unpacks packages of the system's own suite into .toolchain/headers, without root. Returns false where that fails. */
export function unpackHeaders(packages) {
  const folder = join(toolchain, 'apt-headers');
  const options = privateState(folder);
  say(`unpacking ${packages.join(', ')} into .toolchain/headers`);
  capture('apt-get', [...options, 'update'], { mayFail: true });
  const archives = join(folder, 'cache/archives');
  const fetched = capture('apt-get', [...options, 'download', ...packages], { cwd: archives, mayFail: true });
  unpack(folder, join(toolchain, 'headers'));
  return fetched.status === 0;
}

/** The package mirrors that the system's own apt sources name, those of Debian or Ubuntu proper. */
export function mirrors() {
  const listed = capture('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages'], {
    mayFail: true,
  });
  const unique = [...new Set(listed.stdout.split('\n').map((line) => line.trim()))];
  return unique.filter((uri) => /\/(debian|ubuntu)\/?$/.test(uri));
}
