// Single products on our engine and on onnxruntime-web, one thread each, in turn: 4-bit weights, dynamic int8, float,
// signs by binary and ternary weights. BITWRIGHT_BENCH_ROWS names one kind.
import { onEachHost } from './host.mjs';

const products = [
  { kind: 'fourBits', m: 1, n: 2048, k: 2048, block: 32 },
  { kind: 'fourBits', m: 1, n: 4096, k: 4096, block: 32 },
  { kind: 'fourBits', m: 1, n: 4096, k: 4096, block: 128 },
  { kind: 'fourBits', m: 32, n: 2048, k: 2048, block: 32 },
  { kind: 'fourBits', m: 128, n: 1024, k: 1024, block: 32 },
  { kind: 'fourBits', m: 128, n: 1024, k: 1024, block: 128 },
  { kind: 'twoBits', m: 1, n: 2048, k: 2048, block: 32 },
  { kind: 'twoBits', m: 1, n: 2048, k: 2048, block: 128 },
  { kind: 'twoBits', m: 32, n: 2048, k: 2048, block: 32 },
  { kind: 'dynamicInt8', m: 128, n: 768, k: 768 },
  { kind: 'dynamicInt8', m: 128, n: 3072, k: 768 },
  { kind: 'dynamicInt8', m: 128, n: 768, k: 3072 },
  { kind: 'float', m: 512, n: 512, k: 512 },
  { kind: 'float', m: 128, n: 768, k: 768 },
  { kind: 'float', m: 1, n: 2048, k: 2048 },
  { kind: 'signs', m: 128, n: 768, k: 768 },
  { kind: 'signs', m: 128, n: 768, k: 768, isTernary: true },
  { kind: 'signs', m: 1, n: 2048, k: 2048 },
].filter(({ kind }) => kind === (process.env.BITWRIGHT_BENCH_ROWS ?? kind));
const names = {
  fourBits: '4 bits',
  twoBits: '2 bits',
  dynamicInt8: 'dynamic int8',
  float: 'float',
  signs: 'signs by binary weights',
};

console.log('| host | product | m, n, k | ours, ms | GMAC/s | onnxruntime-web, ms | times as fast | relative error |');
console.log('|---|---|---|---|---|---|---|---|');
await onEachHost('productRuns', { products, rounds: 15 }, (host, rows) => {
  for (const { kind, m, n, k, block, isTernary, oursMs, ortWebMs, error } of rows) {
    const ofBlock = block === undefined ? names[kind] : `${names[kind]}, blocks of ${block}`;
    const kindName = isTernary ? 'signs by ternary weights' : ofBlock;
    const rate = ((m * n * k) / oursMs / 1e6).toFixed(1);
    const times = [oursMs.toFixed(3), rate, ortWebMs.toFixed(3), (ortWebMs / oursMs).toFixed(2), error.toExponential(1)];
    console.log(`| ${host} | ${kindName} | ${m}, ${n}, ${k} | ${times.join(' | ')} |`);
  }
});
