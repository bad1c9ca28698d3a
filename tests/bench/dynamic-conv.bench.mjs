// Is a Conv faster as DynamicQuantizeLinear and ConvInteger? Both onnxruntimes, one thread, in turn; medians. What mode dynamic
// makes of a Conv follows from this table (src/passes/dynamic_nodes.cpp).
import * as nodeRuntime from 'onnxruntime-node';
import * as webRuntime from 'onnxruntime-web';
import { activations, dynamicConv, floatConv } from './one-node.mjs';
import { median } from './work.mjs';

const rounds = 31;
const convs = [
  { channels: 24, outputs: 24, kernel: 1, size: 44, groups: 1 },
  { channels: 48, outputs: 48, kernel: 1, size: 22, groups: 1 },
  { channels: 96, outputs: 96, kernel: 1, size: 22, groups: 1 },
  { channels: 16, outputs: 96, kernel: 1, size: 112, groups: 1 },
  { channels: 160, outputs: 960, kernel: 1, size: 14, groups: 1 },
  { channels: 960, outputs: 160, kernel: 1, size: 14, groups: 1 },
  { channels: 3, outputs: 32, kernel: 3, size: 112, groups: 1 },
  { channels: 8, outputs: 8, kernel: 3, size: 56, groups: 1 },
  { channels: 64, outputs: 64, kernel: 3, size: 56, groups: 1 },
  { channels: 256, outputs: 256, kernel: 3, size: 14, groups: 1 },
  { channels: 64, outputs: 64, kernel: 3, size: 28, groups: 8 },
  { channels: 64, outputs: 64, kernel: 3, size: 28, groups: 32 },
  { channels: 96, outputs: 96, kernel: 5, size: 22, groups: 96 },
];

webRuntime.env.wasm.numThreads = 1;
console.log(
  '| onnxruntime | channels, kernel, size, groups | products | Conv, ms | integers, ms | times as fast |\n|---|---|---|---|---|---|',
);
for (const [name, ort, provider] of [
  ['node', nodeRuntime, 'cpu'],
  ['web', webRuntime, 'wasm'],
]) {
  for (const conv of convs) {
    const { channels, outputs, kernel, size, groups } = conv;
    const options = { executionProviders: [provider], intraOpNumThreads: 1 };
    const sessions = [];
    for (const bytes of [floatConv(conv), dynamicConv(conv)]) sessions.push(await ort.InferenceSession.create(bytes, options));
    const x = new ort.Tensor('float32', activations({ m: channels, k: size * size }), [1, channels, size, size]);
    const times = sessions.map(() => []);
    for (let round = 0; round < 2 * rounds; ++round)
      for (const [i, session] of sessions.entries()) {
        const start = performance.now();
        await session.run({ x });
        if (round >= rounds) times[i].push(performance.now() - start);
      }
    const [float, integer] = times.map(median);
    const what = `${channels} to ${outputs}, ${kernel} x ${kernel}, ${size}, ${groups}`;
    const figures = [float.toFixed(3), integer.toFixed(3), (float / integer).toFixed(2)];
    console.log(`| ${name} | ${what} | ${(channels / groups) * kernel * kernel} | ${figures.join(' | ')} |`);
    for (const session of sessions) await session.release();
  }
}
