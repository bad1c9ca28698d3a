// eslint over TypeScript and scripts, types checked by tsc.
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { hostNode, main, root, run } from './steps.mjs';

main(async () => {
  await run(hostNode, [join(root, 'node_modules/eslint/bin/eslint.js'), '--max-warnings=0', root]);
  for (const config of ['tsconfig.json', 'tsconfig.tests.json', 'demo/tsconfig.json']) {
    if (!existsSync(join(root, config))) continue;
    await run(hostNode, [join(root, 'node_modules/typescript/bin/tsc'), '--noEmit', '-p', join(root, config)]);
  }
});
