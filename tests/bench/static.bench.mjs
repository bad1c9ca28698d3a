// Static int8 of MobileNetV2 with 32 samples (calibrate, quantize, write), beside 32 plain float runs. Goal: at most 3 times.
import { onEachHost } from './host.mjs';

console.log('| host | 32 float runs, ms | static quantization, ms | ratio |\n|---|---|---|---|');
const row = (host, { runsMs, staticMs, ratio }) =>
  console.log(`| ${host} | ${runsMs.toFixed(0)} | ${staticMs.toFixed(0)} | ${ratio.toFixed(2)} |`);
await onEachHost('staticMode', { rounds: 3, nSamples: 32 }, row);
