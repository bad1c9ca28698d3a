// npm start: sets up, builds, quantizes a model with its report in the terminal, then serves the demo page. Neither asks for threads:
// their modules come with `npm run build`.
//   npm start -- model.onnx [options of `bitwright quantize`]   that model instead of the bundled example
//   npm start -- --no-serve                                     ends after the report
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { build } from './build.mjs';
import { Failure, hostNode, main, root, say, stage } from './steps.mjs';
import { serve } from './serve.mjs';
import { setup } from './setup.mjs';

const example = join(root, 'demo/example');
const firstPort = 8080;

/** Options of the command for the model to quantize: the named one, or the bundled example with its images and labels. */
function choose(args) {
  const [model, ...options] = args;
  if (model !== undefined && !model.startsWith('-')) {
    const path = resolve(process.env.INIT_CWD ?? process.cwd(), model);
    if (!existsSync(path)) throw new Failure(`There is no model at ${model}.`);
    const isStatic = options.includes('--calibrate') || options.includes('--mode') || options.includes('--recipe');
    if (!isStatic) say('No --calibrate given: quantizing the weights only.');
    return { path, options: isStatic ? options : ['--mode', 'weight_only', ...options] };
  }
  const labels = join(example, 'eval/labels.csv');
  const samples = ['--calibrate', join(example, 'images'), '--evaluate', join(example, 'eval'), '--labels', labels];
  const pictures = ['--preprocess', 'minus1_1', '--resize', '64'];
  return { path: join(example, 'model.onnx'), options: ['--mode', 'static', ...samples, ...pictures, ...args] };
}

async function quantize(args) {
  const { path, options } = choose(args);
  const folder = join(root, 'build/start');
  mkdirSync(folder, { recursive: true });
  const output = options.includes('-o') ? [] : ['-o', join(folder, basename(path, '.onnx') + '_quantized.onnx'), '--force'];
  const report = options.includes('--report') ? [] : ['--report', join(folder, 'report.html')];
  const command = [join(root, 'web/dist/cli/main.js'), 'quantize', path, ...output, ...report, ...options];
  const result = spawnSync(hostNode, command, {
    cwd: process.env.INIT_CWD ?? root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (result.status !== 0) process.exitCode = result.status ?? 1;
  return result.status === 0;
}

async function serveDemo() {
  const wanted = Number(process.env.PORT ?? firstPort);
  for (let port = wanted; ; ++port) {
    try {
      const { address } = await serve(join(root, 'demo/dist'), { port });
      console.log(`\nThe demo page is at ${address} (Ctrl+C ends it)`);
      return;
    } catch (error) {
      if (error.code !== 'EADDRINUSE' || port >= wanted + 20) throw error;
    }
  }
}

main(async () => {
  const args = process.argv.slice(2).filter((arg) => arg !== '--no-serve');
  const isServed = !process.argv.includes('--no-serve');
  await setup();
  await build({ hasThreads: false });
  const isDone = await stage('quantize', () => quantize(args));
  if (isServed && isDone) await serveDemo();
});
