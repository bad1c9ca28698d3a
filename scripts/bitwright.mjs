// The command line of a clone: builds what is missing, then runs it where npm was called.
// Its exit code is the program's, and stdout stays the program's own: what set-up and build say goes to stderr.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildModules } from './build.mjs';
import { buildPackage } from './build/package.mjs';
import { hostNode, main, root } from './steps.mjs';
import { setup } from './setup.mjs';

const program = join(root, 'web/dist/cli/main.js');

main(async () => {
  if (!existsSync(join(root, 'web/dist/wasm/bitwright-simd.wasm')) || !existsSync(program)) {
    await setup();
    await buildModules(['wasm-simd']);
    await buildPackage();
  }
  const result = spawnSync(hostNode, [program, ...process.argv.slice(2)], {
    cwd: process.env.INIT_CWD ?? process.cwd(),
    stdio: 'inherit',
  });
  process.exitCode = result.status ?? 130;
});
