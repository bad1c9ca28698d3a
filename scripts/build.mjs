// Builds. Without arguments: the four wasm modules, the package in web/dist and the demo in demo/dist.
//   --dev             one module (SIMD128, single-threaded), linked fast
//   <preset> ...      these CMake presets with all their targets, and nothing else
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { buildDemo } from './build/demo.mjs';
import { buildPackage } from './build/package.mjs';
import { buildFolder, main, root, run, stage, which } from './steps.mjs';

export const wasmPresets = ['wasm-simd', 'wasm-simd-mt', 'wasm-relaxed', 'wasm-relaxed-mt'];

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

/** Builds wasm modules and copies them into the package, leaving files that are already the same. */
export async function buildModules(presets) {
  if (!existsSync(join(root, 'bindings/embind.cpp'))) return;
  const target = join(root, 'web/dist/wasm');
  mkdirSync(target, { recursive: true });
  for (const preset of presets) {
    await buildPreset(preset, ['bitwright_module']);
    const folder = join(buildFolder(preset), 'module');
    for (const name of readdirSync(folder)) {
      const [from, to] = [join(folder, name), join(target, name)];
      if (!existsSync(to) || !readFileSync(from).equals(readFileSync(to))) copyFileSync(from, to);
    }
  }
}

/** All that `npm start` and the package need. */
export async function build({ dev = false } = {}) {
  await buildModules(dev ? ['wasm-dev'] : wasmPresets);
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
