// tests/**/*.test.ts -> build/tests/*.mjs. Tests run against the built package: imports of web/src go to web/dist.
import { readFileSync, readdirSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { hostNode, root, run } from '../steps.mjs';

const target = join(root, 'build/tests');
const sourceRoot = join(root, 'web/src');

const testTheBuild = {
  name: 'test-the-build',
  setup(build) {
    build.onResolve({ filter: /^\.{1,2}\// }, ({ path, resolveDir, kind }) => {
      const full = join(resolveDir, path);
      if (kind === 'entry-point') return undefined;
      const inSource = relative(sourceRoot, full);
      if (!inSource.startsWith('..')) {
        return { path: pathToFileURL(join(root, 'web/dist', inSource.replace(/\.ts$/, '.js'))).href, external: true };
      }
      return full.endsWith('.mjs') ? { path: pathToFileURL(full).href, external: true } : undefined;
    });
    // A test that looks for files beside itself means its source.
    build.onLoad({ filter: /\.ts$/ }, ({ path }) => ({
      contents: readFileSync(path, 'utf8').replaceAll('import.meta.url', JSON.stringify(pathToFileURL(path).href)),
      loader: 'ts',
    }));
  },
};

/** Checks the types of all tests, then bundles each; returns the compiled files. */
export async function compileTests() {
  const entries = readdirSync(join(root, 'tests'), { recursive: true })
    .filter((name) => name.endsWith('.test.ts'))
    .map((name) => join(root, 'tests', name))
    .sort();
  rmSync(target, { recursive: true, force: true });
  if (entries.length === 0) return [];
  await run(hostNode, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', join(root, 'tsconfig.tests.json')]);
  const { build } = await import('esbuild');
  await build({
    entryPoints: entries,
    outdir: target,
    outbase: join(root, 'tests'),
    outExtension: { '.js': '.mjs' },
    bundle: true,
    format: 'esm',
    platform: 'node',
    target: 'es2022',
    packages: 'external',
    sourcemap: 'inline',
    logLevel: 'error',
    plugins: [testTheBuild],
  });
  return entries.map((path) => join(target, relative(join(root, 'tests'), path)).replace(/\.ts$/, '.mjs'));
}
