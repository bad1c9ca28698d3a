// Checks formatting (prettier for TypeScript, JSON, HTML, CSS; clang-format for C++), or mends it with --write.
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hostNode, main, root, run, say, which } from './steps.mjs';

const isWriting = process.argv.includes('--write');

const cppFiles = () =>
  ['src', 'bindings', 'tests']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(root, folder, name)))
    .filter((path) => /\.(cpp|h)$/.test(path));

main(async () => {
  const patterns = '*.{json,mjs} {scripts,web/src,demo,tests}/**/*.{ts,mjs,json,html,css}'.split(' ');
  const prettier = [join(root, 'node_modules/prettier/bin/prettier.cjs'), '--log-level=warn', '--no-error-on-unmatched-pattern'];
  await run(hostNode, [...prettier, isWriting ? '--write' : '--check', ...patterns]);
  const clangFormat = which('clang-format');
  if (clangFormat === undefined) return say('clang-format is missing: C++ formatting was not checked');
  await run(clangFormat, [...(isWriting ? ['-i'] : ['--dry-run', '-Werror']), ...cppFiles()]);
});
