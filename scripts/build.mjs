// Builds. Without arguments: the four wasm modules, the package in web/dist and the demo in demo/dist.
//   --dev             one module (SIMD128, single-threaded), linked fast
//   <preset> ...      these CMake presets with all their targets, and nothing else
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { buildDemo } from './build/demo.mjs';
import { buildPackage } from './build/package.mjs';
import { buildFolder, main, root, run, stage, which } from './steps.mjs';

/** What a page and Node load unless they are asked for threads. */
export const plainPresets = ['wasm-simd', 'wasm-relaxed'];
export const wasmPresets = [...plainPresets, 'wasm-simd-mt', 'wasm-relaxed-mt'];

/** Configures a preset where needed and builds targets of it (all when none is named). */
export async function buildPreset(preset, targets = []) {
  const folder = buildFolder(preset);
  await stage(`build ${preset}${targets.length > 0 ? ` (${targets.join(', ')})` : ''}`, async () => {
    if (!existsSync(join(folder, 'CMakeCache.txt'))) {
      const generator = which('ninja') === undefined ? 'Unix Makefiles' : 'Ninja';
      await run('cmake', ['--preset', preset, '-B', folder, '-G', generator], { quiet: true });
    }
    const jobs = String(Math.max(1, availableParallelism()));
    const wanted = targets.flatMap((target) => ['--target', target]);
    await run('cmake', ['--build', folder, '-j', jobs, ...wanted], { quiet: true });
  });
}

/** Copies what was linked into the package, leaving files that are already the same. */
function copyModule(preset) {
  const [folder, target] = [join(buildFolder(preset), 'module'), join(root, 'web/dist/wasm')];
  mkdirSync(target, { recursive: true });
  for (const name of readdirSync(folder)) {
    const [from, to] = [join(folder, name), join(target, name)];
    if (!existsSync(to) || !readFileSync(from).equals(readFileSync(to))) copyFileSync(from, to);
  }
}

/**
 * Builds wasm modules and copies them into the package. A link keeps one core busy for minutes: the links of two modules run side by
 * side, behind their objects, most of which both have in common (ccache).
 */
export async function buildModules(presets) {
  for (let i = 0; i < presets.length; i += 2) {
    const pair = presets.slice(i, i + 2);
    if (pair.length > 1) for (const preset of pair) await buildPreset(preset, ['bitwright_core']);
    await Promise.all(pair.map((preset) => buildPreset(preset, ['bitwright_module'])));
    pair.forEach(copyModule);
  }
}

/** All that the package needs. Without threads, all that `npm start` needs: half of the work. */
export async function build({ dev = false, hasThreads = true } = {}) {
  await buildModules(dev ? ['wasm-dev'] : hasThreads ? wasmPresets : plainPresets);
  await stage('build web/dist', buildPackage);
  await stage('build demo/dist', buildDemo);
}

if (process.argv[1] === new URL(import.meta.url).pathname) {
  const names = process.argv.slice(2);
  const presets = names.filter((name) => !name.startsWith('--'));
  main(async () => {
    if (presets.length === 0) return build({ dev: names.includes('--dev') });
    for (const preset of presets) await buildPreset(preset);
  });
}
