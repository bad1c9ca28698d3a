// demo/ -> demo/dist: its TypeScript bundled, everything else copied, the package beside it as a stranger would install it.
import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { hostNode, root, run } from '../steps.mjs';

const demo = join(root, 'demo');
const dist = join(demo, 'dist');

// `import 'bitwright'` becomes the copied package: no bundler moves its worker and its modules.
const usePackage = {
  name: 'use-package',
  setup(build) {
    build.onResolve({ filter: /^bitwright$/ }, () => ({ path: './bitwright/index.js', external: true }));
  },
};

const isCopied = (path) => !/(\.tsx?|\.py|\.md|tsconfig[^/]*\.json|__pycache__)$/.test(path) && path !== join(demo, 'dist');

export async function buildDemo() {
  const entry = ['src/main.ts', 'main.ts'].map((name) => join(demo, name)).find(existsSync);
  mkdirSync(dist, { recursive: true });
  for (const name of existsSync(demo) ? readdirSync(demo) : []) {
    if (name === 'dist' || name === 'src') continue;
    const path = join(demo, name);
    if (isCopied(path)) cpSync(path, join(dist, name), { recursive: true, filter: isCopied });
  }
  if (existsSync(join(root, 'web/dist'))) {
    const isWanted = (path) => !path.endsWith('.d.ts') && !path.endsWith('.d.mts') && !path.endsWith('dist/cli');
    cpSync(join(root, 'web/dist'), join(dist, 'bitwright'), { recursive: true, filter: isWanted });
  }
  if (entry === undefined) return;
  const config = join(demo, 'tsconfig.json');
  if (existsSync(config)) await run(hostNode, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', config]);
  const { build } = await import('esbuild');
  await build({
    entryPoints: [entry],
    outfile: join(dist, 'main.js'),
    bundle: true,
    format: 'esm',
    target: 'es2022',
    logLevel: 'error',
    plugins: [usePackage],
  });
}
