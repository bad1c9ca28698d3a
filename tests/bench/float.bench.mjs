// One float inference of MobileNetV2 on our engine and on onnxruntime-web, one thread each.
import { onEachHost } from './host.mjs';

console.log('| host | our engine, ms | onnxruntime-web, ms | ratio |\n|---|---|---|---|');
const row = (host, { oursMs, ortWebMs, ratio }) =>
  console.log(`| ${host} | ${oursMs.toFixed(1)} | ${ortWebMs.toFixed(1)} | ${ratio.toFixed(2)} |`);
await onEachHost('floatRuns', { rounds: 15 }, row);
