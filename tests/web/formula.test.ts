import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formulaLines, listSchemes, QuantError, tryScheme, type SchemeInput, type SchemeReport } from '../../web/src/node.js';
import { withToolkit } from './support/toolkit.js';

/** -1, 0, 2 and 3: by hand, u8 gives scale 4 / 255 and zero point 63.75, rounded to 64. */
const values = new Float32Array([-1, 0, 2, 3]);

const reportOf = (scheme: SchemeInput): Promise<SchemeReport> =>
  withToolkit((toolkit) => tryScheme({ toolkit, values, shape: [4] }, scheme));

const linesOf = async (scheme: SchemeInput): Promise<string[]> => formulaLines(await reportOf(scheme));

void test('formulaLines: an asymmetric scheme with its numbers', async () => {
  assert.deepEqual(await linesOf({ scheme: 'u8_tensor' }), [
    'values lie in [-1, 3]',
    'rmin = -1, rmax = 3 (clipping min_max, with 0 in it)',
    'scale = (rmax - rmin) / (qmax - qmin) = (3 - (-1)) / (255 - 0) = 0.01569',
    'zero_point = round(qmin - rmin / scale) = round(0 - (-1) / 0.01569) = 64',
    'code = round_half_even(x / 0.01569) + 64, kept in [0, 255]',
    'real = 0.01569 * (code - 64), code in [0, 255]',
    'bits per weight = 8 * 9 stored bytes / 4 values = 18, 1 scale, zero points included',
  ]);
});

void test('formulaLines: a clipped symmetric scheme shows the range that is left', async () => {
  const lines = await linesOf({ scheme: 'i8_tensor', narrowRange: true, clipRatio: 0.5 });
  assert.equal(lines[1], 'rmin = -0.5, rmax = 1.5 (clipping min_max, with 0 in it, times 0.5)');
  assert.equal(lines[2], 'scale = 2 * max(-rmin, rmax) / (qmax - qmin) = 2 * 1.5 / (127 - (-127)) = 0.01181');
  assert.equal(lines[3], 'zero_point = 0 (symmetric)');
});

void test('formulaLines: numbers of every kind of scheme, by hand', async () => {
  // 3 = 1.5 * 2^1, and the largest of f4e2m1 is 6 = 1.5 * 2^2: the scale is 2^(1 - 2).
  const mxfp4 = await linesOf({ scheme: 'mxfp4' });
  assert.equal(
    mxfp4[2],
    'scale = 2^(floor(log2 max(-rmin, rmax)) - floor(log2 largest level)) = 2^(floor(log2 3) - floor(log2 6)) = 2^(1 - 2) = 0.5',
  );
  // The largest code of int8 is 127, not 128: 2^(1 - 6).
  const mxint8 = await linesOf({ scheme: 'mxint8' });
  assert.match(mxint8[2] ?? '', /\(floor\(log2 3\) - floor\(log2 127\)\) = 2\^\(1 - 6\) = 0\.03125$/);
  const f8 = await linesOf({ scheme: 'f8e4m3fn', granularity: 'per_tensor' });
  assert.equal(f8[2], 'scale = max(-rmin, rmax) / largest level = 3 / 448 = 0.006696');
  // One block: its scale is the largest, whose code is 448.
  const nvfp4 = await linesOf({ scheme: 'nvfp4' });
  assert.equal(nvfp4[2], 'super_scale = largest scale of the tensor / 448 = 0.001116');
  assert.equal(
    nvfp4[3],
    'scale = max(-rmin, rmax) / largest level = 3 / 6 = 0.5, stored as super_scale * code = 0.001116 * 448 = 0.5',
  );
  // Mean |x| is 1.5, and 0.7 of it 1.05: 2 and 3 are above.
  const ternary = await linesOf({ scheme: 'ternary', granularity: 'per_tensor' });
  assert.equal(ternary[1], 'scale = mean |x| of the x that are not rounded to 0 = 2.5');
  assert.match(ternary[2] ?? '', /^threshold = 0\.7 \* mean \|x\| = 1\.05;/);
  // 2 and 3 kept at 2.5: the error is 0.5 + 1, less than of any other choice; the largest that becomes 0 is 1.
  const best = await linesOf({ scheme: 'ternary', granularity: 'per_tensor', clipping: 'mse' });
  assert.match(best[2] ?? '', /^threshold = that of least squared error = 1;/);
  const kmeans = await linesOf({ scheme: 'kmeans4', granularity: 'per_tensor', seed: 3 });
  assert.deepEqual(kmeans.slice(1), [
    'code = that of the real nearest to x, the lower one of two',
    'real = entry[code], 4 entries by k-means from seed 3: -1, 0, 2, 3',
    'bits per weight = 8 * 17 stored bytes / 4 values = 34, 1 codebook of 4 entries included',
  ]);
  // +-1.5 +-1 +-0.5 is what is left of four values by two planes: -1, 0 | 2, 3 is 1 +- 1.5 +- 0.5, without the 1.
  const planes = await linesOf({ scheme: 'bcq2' });
  const alphas = /^real = \+-([\d.]+) \+-([\d.]+), alphas by/.exec(planes[2] ?? '');
  assert.ok(alphas !== null, planes[2]);
  const [a, b] = [Number(alphas[1]), Number(alphas[2])];
  const report = await reportOf({ scheme: 'bcq2' });
  assert.deepEqual(
    [...report.grid].sort((x, y) => x - y).map((real) => real.toFixed(3)),
    [-a - b, -a + b, a - b, a + b].sort((x, y) => x - y).map((real) => real.toFixed(3)),
  );
  assert.match(planes.at(-1) ?? '', /, 2 alphas included$/);
  const product = await linesOf({ scheme: 'pq4', entries: 2 });
  assert.equal(product[1], 'real = entry[code][place], 2 entries of 4 by k-means from seed 0: (-1, 0, 2, 3) is the first');
  assert.match(product[2] ?? '', /, 1 codebook of 2 entries included$/);
  // 3 lies in [2, 4): 10 bits behind the leading one are 2^-9, 7 bits 2^-6.
  assert.match((await linesOf({ scheme: 'f16' }))[1] ?? '', /at the largest \|x\| = 3 steps are 2\^\(1 - 10\) = 0\.001953$/);
  const bf16 = await linesOf({ scheme: 'bf16' });
  assert.match(bf16[1] ?? '', /at the largest \|x\| = 3 steps are 2\^\(1 - 7\) = 0\.01563$/);
  assert.equal(bf16[2], 'bits per weight = 8 * 8 stored bytes / 4 values = 16');
});

void test('formulaLines: how the range was found, and which rounding', async () => {
  const kept = await linesOf({ scheme: 'i8_tensor', clipping: 'percentile', percentile: 75, rounding: 'floor' });
  assert.equal(kept[1], 'rmin = -1, rmax = 2 (clipping percentile 75, with 0 in it)');
  assert.match(kept[4] ?? '', /^code = floor\(x \/ 0\.01575\) \+ 0, kept in \[-127, 127\]$/);
  const drawn = await linesOf({ scheme: 'u8_tensor', rounding: 'stochastic', seed: 9 });
  assert.equal(drawn[4], 'code = floor(x / 0.01569 + u, u in [0, 1) drawn by seed 9) + 64, kept in [0, 255]');
});

/** What a line says on both sides of `=` as numbers; text that is no arithmetic is left out. */
function numbersOf(chain: string): number[] {
  return chain
    .split(' = ')
    .map((side) => side.replaceAll('^', '**').replaceAll('log2', 'Math.log2').replaceAll('floor', 'Math.floor'))
    .map((side) => side.replace(/Math\.log2 ([\d.e+-]+)/g, 'Math.log2($1)').replace(/round\(/, 'Math.round('))
    .filter((side) =>
      /^[-+*/().\d\se]+$/.test(side.replaceAll('Math.log2', '').replaceAll('Math.floor', '').replaceAll('Math.round', '')),
    )
    .map((side) => Number(new Function(`return ${side};`)()));
}

/** The largest levels, by their definitions: IEEE and OCP formats, quantiles and powers of two up to 1. */
const largestLevels: Readonly<Record<string, number>> = {
  f8e4m3fn: 448,
  f8e5m2: 57344,
  f6e2m3: 7.5,
  f6e3m2: 28,
  f4e2m1: 6,
  nf4: 1,
  fp4: 1,
  power_of_two: 1,
  additive_power_of_two: 1,
};

/** The scale before it is stored, from the values of the first group. */
function idealScale(report: SchemeReport, group: readonly number[]): number {
  const finite = group.filter(Number.isFinite);
  const [least, most] = [Math.min(0, ...finite), Math.max(0, ...finite)];
  if (report.encoding === 'uniform' && !report.symmetric) return (most - least) / (2 ** report.bits - 1);
  const reach = Math.max(-least, most);
  if (report.encoding !== 'uniform') return reach / (largestLevels[report.encoding] ?? NaN);
  return (2 * reach) / (report.qmax - report.qmin);
}

const series = (n: number, factor: number): number[] =>
  Array.from({ length: n }, (_, i) => factor * Math.sin(0.7 * i + 1) * (1 + i / 50));

void test('formulaLines: for every scheme the numbers of each line follow from one another, and from the values', () =>
  withToolkit(async (toolkit) => {
    const tensors: readonly (readonly [string, readonly number[]])[] = [
      ['ordinary', series(128, 1)],
      ['tiny', series(128, 1e-12)],
      ['huge', series(128, 1e36)],
      ['powers of two', [4, -1, 2, 0.5, ...series(124, 0.1)]],
      ['some NaN', [NaN, ...series(126, 1), Infinity]],
      ['zeros', new Array<number>(128).fill(0)],
      ['all NaN', new Array<number>(128).fill(NaN)],
      ['one', [-0.3]],
      ['empty', []],
    ];
    for (const { name, granularity, blockSize, scaleForm } of await listSchemes(toolkit)) {
      for (const [kind, list] of tensors) {
        const what = `${name}, ${kind}`;
        const shape = list.length === 128 ? [2, 64] : [1, list.length];
        const report = await tryScheme({ toolkit, values: Float32Array.from(list), shape }, { scheme: name });
        const lines = formulaLines(report);
        const text = lines.join('\n');
        assert.ok(!/NaN|Infinity|undefined/.test(text), `${what}: ${text}`);
        if (list.length === 0) {
          assert.deepEqual(lines, ['no values'], what);
          continue;
        }
        const hasRange = list.some((value) => Number.isFinite(value) && value !== 0);
        for (const line of lines.filter((one) => !one.startsWith('code')))
          // What is stored in another form is another number; small numbers are shown with three digits.
          for (const chain of line.split(/, (?:stored as|within what is stored|kept)|;/)) {
            const [last, ...others] = numbersOf(chain).reverse();
            const slack = line.startsWith('zero_point')
              ? 1.01 + 1e-2 * (report.qmax - report.qmin)
              : 1.2e-2 * Math.abs(last ?? 0);
            for (const other of others) assert.ok(Math.abs(other - (last ?? NaN)) <= slack, `${what}: ${line}: ${other}`);
          }
        const scaleLine = lines.find((line) => line.startsWith('scale = '));
        const isFitted = ['binary', 'ternary'].includes(report.encoding);
        if (!report.formula.startsWith('scale *')) {
          assert.equal(scaleLine, undefined, what);
        } else if (!hasRange) {
          assert.ok(
            lines.some((line) => line.startsWith('no range: scale ')),
            `${what}: ${text}`,
          );
          if (['f32', 'f16', 'e8m0'].includes(scaleForm)) assert.ok(lines.includes('no range: scale 1'), `${what}: ${text}`);
        } else if (!isFitted && !(scaleForm === 'u6' && /tiny|huge/.test(kind))) {
          // what no f16 holds
          const group = granularity === 'per_tensor' ? list : list.slice(0, granularity === 'per_block' ? blockSize : 64);
          const rows = granularity === 'per_block' && list.length === 128 ? list.slice(0, Math.min(blockSize, 64)) : group;
          const wanted = idealScale(report, rows.map(Math.fround));
          const found = numbersOf(scaleLine ?? '').at(-1) ?? NaN;
          const ratio = found / wanted;
          // Powers of two are rounded down from the ratio of two exponents, codes of scales to the nearest.
          const [low, high] = scaleForm === 'f32' ? [0.994, 1.006] : scaleForm === 'e8m0' ? [0.49, 2.01] : [0.9, 1.1];
          assert.ok(ratio > low && ratio < high, `${what}: ${scaleLine}: ${wanted} was expected`);
          if (scaleForm === 'e8m0' && report.encoding !== 'uniform') {
            const reach = Math.max(...rows.filter(Number.isFinite).map((value) => Math.abs(Math.fround(value))));
            const exponent = Math.floor(Math.log2(reach)) - Math.floor(Math.log2(largestLevels[report.encoding] ?? NaN));
            assert.equal(report.scale, 2 ** Math.min(Math.max(exponent, -100), 127), what);
          }
        }
        const beside = scaleForm === 'f32' && report.encoding === 'uniform' && !report.symmetric;
        assert.equal(/scale/.test(lines.at(-1) ?? ''), report.formula.startsWith('scale *'), what);
        if (beside) assert.match(lines.at(-1) ?? '', /zero points included/, what);
      }
    }
  }));

void test('tryScheme: a distribution is drawn in the core, and refused where it cannot be', async () => {
  await withToolkit(async (toolkit) => {
    const distribution = { kind: 'uniform', shape: [100, 50], seed: 2 } as const;
    const report = await tryScheme({ toolkit, distribution }, { scheme: 'u8_tensor' });
    assert.deepEqual(report.shape, [100, 50]);
    assert.equal(
      report.codeCounts.reduce((sum, count) => sum + count, 0),
      5000,
    );
    // Uniform error within half a step, uniform values: 20 log10(2^8), nearly.
    assert.ok(Math.abs((report.sqnr.sqnrDb ?? 0) - 20 * Math.log10(256)) < 0.3);
    await assert.rejects(
      tryScheme({ toolkit, distribution: { ...distribution, shape: [0] } }, { scheme: 'i8' }),
      (error) => error instanceof QuantError && error.code === 'invalid_argument' && /shape/.test(error.message),
    );
    await assert.rejects(
      tryScheme({ toolkit, distribution: { kind: 'drawn', shape: [4], density: [0, 0] } }, { scheme: 'i8' }),
      (error) => error instanceof QuantError && error.code === 'invalid_argument' && /above 0/.test(error.message),
    );
  });
});
