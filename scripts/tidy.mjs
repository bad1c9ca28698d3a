// clang-tidy by .clang-tidy over the C++ of src. Needs the native preset's compile commands.
//   npm run tidy              every file of src (about 20 minutes)
//   npm run tidy -- --sample  the readers, and every tenth file of the rest
//   npm run tidy -- FILE ...  these files
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { buildFolder, capture, Failure, main, root, say, which } from './steps.mjs';

const sources = () =>
  readdirSync(join(root, 'src'), { recursive: true })
    .filter((name) => name.endsWith('.cpp') && !/(^|\/)(wasm_|.*relaxed)/.test(name))
    .map((name) => join('src', name))
    .sort();

/** The readers take hostile bytes: they are always looked at. */
const sample = () => sources().filter((name, i) => /^src\/(files|io|model)\//.test(name) || i % 10 === 0);

function tidy(file) {
  return new Promise((resolve) => {
    const child = spawn('clang-tidy', ['--quiet', '-p', buildFolder('native'), file], { cwd: root });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.resume(); // counts of what was suppressed
    child.on('close', (status) => resolve({ file, status, output }));
  });
}

main(async () => {
  if (which('clang-tidy') === undefined) throw new Failure('clang-tidy is missing: install the package clang-tidy.');
  const folder = buildFolder('native');
  if (!existsSync(join(folder, 'compile_commands.json'))) capture('cmake', ['--preset', 'native', '-B', folder]);
  const args = process.argv.slice(2);
  const files =
    args.length === 0 ? sources() : args[0] === '--sample' ? sample() : args.map((name) => relative(root, join(root, name)));
  const waiting = [...files];
  let nFailed = 0;
  const worker = async () => {
    for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
      const { status, output } = await tidy(file);
      if (status === 0) continue;
      ++nFailed;
      console.log(output.trim() || `${file}: clang-tidy ended with ${status}`);
    }
  };
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  if (nFailed > 0) throw new Failure(`clang-tidy finds something in ${nFailed} of ${files.length} files.`);
  say(`clang-tidy: ${files.length} files are clean`);
});
