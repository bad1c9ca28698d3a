// MobileNetV2 in int8 with two threads and with one, turn by turn, by the clock: two idle processors are needed. Goal: 1.85 times as fast.
import { join } from 'node:path';
import { onEachHost, writeQuantized } from './host.mjs';
import { root } from '../../scripts/steps.mjs';

const file = join(root, 'build/bench-threads/quantized.onnx');
await writeQuantized(file);
console.log('| host | kernels | 1 thread, ms | 2 threads, ms | times as fast |\n|---|---|---|---|---|');
await onEachHost(
  'threadRuns',
  { rounds: 41 },
  (host, { kernels, medians: [one, two], threads }) => {
    console.log(`| ${host} | ${kernels} | ${one.toFixed(2)} | ${two.toFixed(2)} | ${(one / two).toFixed(2)} |`);
    if (threads !== 2) console.log(`only ${threads} thread there`);
  },
  file,
);
