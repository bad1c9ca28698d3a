// Weight-only int8 of MobileNetV2 (14 MB), from bytes to bytes, beside a plain copy (slice) of the same bytes. Goal: at most 5 copies.
import { onEachHost } from './host.mjs';

const rounds = 45;
console.log('| host | copy, ms | read, quantize, write, ms | copies |\n|---|---|---|---|');
const row = (host, { copyMs, quantizeMs, ratio }) =>
  console.log(`| ${host} | ${copyMs.toFixed(2)} | ${quantizeMs.toFixed(2)} | ${ratio.toFixed(1)} |`);
await onEachHost('weightOnly', { rounds, transfer: true }, row);
