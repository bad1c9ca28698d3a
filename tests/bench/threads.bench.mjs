// MobileNetV2 in int8 with two threads and with one, turn by turn, by the clock: two idle processors are needed.
// Both are launched three times, and the best launch of each counts. Goal: 1.85 times as fast.
import { join } from 'node:path';
import { nLaunches, onEachHost, writeQuantized } from './host.mjs';
import { root } from '../../scripts/steps.mjs';

const file = join(root, 'build/bench-threads/quantized.onnx');
await writeQuantized(file);
const least = new Map();
for (let launch = 0; launch < nLaunches; ++launch)
  await onEachHost(
    'threadRuns',
    { rounds: 41 },
    (host, { kernels, medians, threads }) => {
      const [one, two] = (least.get(host)?.medians ?? medians).map((ms, i) => Math.min(ms, medians[i]));
      least.set(host, { kernels, threads, medians: [one, two] });
    },
    file,
  );
console.log('| host | kernels | 1 thread, ms | 2 threads, ms | times as fast |\n|---|---|---|---|---|');
for (const [host, { kernels, threads, medians }] of least) {
  const [one, two] = medians;
  console.log(`| ${host} | ${kernels} | ${one.toFixed(2)} | ${two.toFixed(2)} | ${(one / two).toFixed(2)} |`);
  if (threads !== 2) console.log(`only ${threads} thread there`);
}
