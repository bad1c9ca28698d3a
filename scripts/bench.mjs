// Benchmarks: npm run bench -- [names]. Each is a file tests/bench/<name>.bench.mjs that prints a table; without names, all run.
// They need the built package (npm run build) and the shared models; figures mean something on an idle machine only.
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Failure, hostNode, main, root, run, say } from './steps.mjs';

const folder = join(root, 'tests/bench');
const ending = '.bench.mjs';

main(async () => {
  if (!existsSync(join(root, 'web/dist/node.js'))) throw new Failure("The package is not built: run 'npm run build' first.");
  const known = readdirSync(folder)
    .filter((name) => name.endsWith(ending))
    .map((name) => name.slice(0, -ending.length))
    .sort();
  const named = process.argv.slice(2);
  const unknown = named.filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new Failure(`No benchmark ${unknown.join(', ')}; there are ${known.join(', ')}.`);
  for (const name of named.length > 0 ? named : known) {
    say(`== ${name}`);
    await run(hostNode, [join(folder, `${name}${ending}`)]);
  }
});
