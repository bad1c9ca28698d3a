// Benchmarks of the core, as wasm in this Node: npm run bench -- [options of the benchmark program].
//   --native   the same program built natively      --relaxed   the relaxed module in Node 24
import { join } from 'node:path';
import { buildPreset } from './build.mjs';
import { buildFolder, hostNode, main, root, run } from './steps.mjs';
import { setup } from './setup.mjs';

main(async () => {
  const args = process.argv.slice(2);
  const options = args.filter((arg) => arg !== '--native' && arg !== '--relaxed');
  const preset = args.includes('--native') ? 'native' : args.includes('--relaxed') ? 'wasm-relaxed' : 'wasm-simd';
  await setup();
  await buildPreset(preset, ['bitwright_bench']);
  if (preset === 'native') return run(join(buildFolder(preset), 'bitwright_bench'), options);
  const node = preset === 'wasm-relaxed' ? join(root, 'node_modules/node/bin/node') : hostNode;
  const program = join(buildFolder(preset), 'bitwright_bench.mjs');
  return run(node, [join(root, 'scripts/wasm-program.mjs'), program, ...options]);
});
