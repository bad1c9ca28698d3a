// web/src -> web/dist by tsc, file by file, so that `new URL('./x', import.meta.url)` means the same before and after.
// Libraries that the package carries (image decoders) are bundled into web/dist/vendor: it has no runtime dependencies,
// and a page can import it without a bundler.
import { chmodSync, existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { Failure, hostNode, root, run } from '../steps.mjs';

const dist = join(root, 'web/dist');
const source = join(root, 'web/src');

const filesBelow = (folder, ending) =>
  readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith(ending))
    .map((name) => join(folder, name));

function removeStale() {
  for (const ending of ['.js', '.d.ts']) {
    for (const file of filesBelow(dist, ending)) {
      const origin = join(source, relative(dist, file).slice(0, -ending.length));
      if (!relative(dist, file).startsWith('vendor') && !existsSync(`${origin}.ts`)) rmSync(file);
    }
  }
}

// The names that an import clause takes: `x, { a as b }` gives default and a; `* as x` gives *.
function namesTaken(clause) {
  const braces = /\{([^}]*)\}/.exec(clause);
  const named = braces === null ? [] : braces[1].split(',').map((part) => part.trim().split(/\s+as\s+/)[0]);
  const rest = clause.replace(/\{[^}]*\}/, '').replace(/,/g, '').trim();
  const whole = rest === '' ? [] : [rest.startsWith('*') ? '*' : 'default'];
  return [...whole, ...named.filter((name) => name !== '')];
}

async function bundleVendors() {
  const { build } = await import('esbuild');
  const { peerDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const outside = new Set([...Object.keys(peerDependencies), ...builtinModules, 'bitwright']);
  const taken = new Map();
  const statement = /^((?:import|export) ([^'"]*?) from )(['"])([@a-z][^'"]*)\3/gm;
  for (const file of filesBelow(dist, '.js')) {
    if (file.startsWith(join(dist, 'vendor'))) continue;
    const text = readFileSync(file, 'utf8');
    const rewritten = text.replace(statement, (whole, head, clause, quote, name) => {
      const packageName = name
        .split('/')
        .slice(0, name.startsWith('@') ? 2 : 1)
        .join('/');
      if (name.startsWith('node:') || outside.has(packageName)) return whole;
      taken.set(name, new Set([...(taken.get(name) ?? []), ...namesTaken(clause)]));
      const target = relative(dirname(file), join(dist, 'vendor', `${vendorName(name)}.js`));
      return `${head}${quote}${target.startsWith('.') ? target : `./${target}`}${quote}`;
    });
    if (rewritten !== text) writeFileSync(file, rewritten);
  }
  const carried = new Set();
  for (const [name, names] of taken) {
    const lines = [...names].map((one) => `export ${one === '*' ? '*' : `{ ${one} }`} from '${name}';`);
    const { metafile } = await build({
      stdin: { contents: lines.join('\n'), resolveDir: root },
      absWorkingDir: root,
      outfile: join(dist, 'vendor', `${vendorName(name)}.js`),
      bundle: true,
      format: 'esm',
      platform: 'neutral',
      mainFields: ['module', 'main'],
      target: 'es2022',
      minify: true,
      legalComments: 'inline',
      metafile: true,
      logLevel: 'error',
    });
    for (const path of Object.keys(metafile.inputs)) {
      const packageName = /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1];
      if (packageName !== undefined) carried.add(packageName);
    }
  }
  if (carried.size > 0) writeFileSync(join(dist, 'vendor/LICENSES.txt'), [...carried].sort().map(licenceOf).join('\n'));
}

function licenceOf(packageName) {
  const folder = join(root, 'node_modules', packageName);
  const { version } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
  const file = readdirSync(folder).find((name) => /^licen[cs]e/i.test(name));
  if (file === undefined) throw new Failure(`${packageName} is bundled, but carries no licence file.`);
  return `${packageName} ${version}\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
}

const vendorName = (name) => name.replace(/[@/]/g, '_').replace(/^_/, '');

export async function buildPackage() {
  if (!existsSync(source)) return;
  await run(hostNode, [join(root, 'node_modules/typescript/bin/tsc'), '-p', join(root, 'tsconfig.json')]);
  removeStale();
  await bundleVendors();
  const cli = join(dist, 'cli/main.js');
  if (existsSync(cli)) chmodSync(cli, 0o755);
}
