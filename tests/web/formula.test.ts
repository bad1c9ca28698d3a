import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formulaLines, QuantError, tryScheme, type SchemeInput } from '../../web/src/node.js';
import { withToolkit } from './support/toolkit.js';

/** -1, 0, 2 and 3: by hand, u8 gives scale 4 / 255 and zero point 63.75, rounded to 64. */
const values = new Float32Array([-1, 0, 2, 3]);

async function linesOf(scheme: SchemeInput): Promise<string[]> {
  let lines: string[] = [];
  await withToolkit(async (toolkit) => {
    lines = formulaLines(await tryScheme({ toolkit, values, shape: [4] }, scheme));
  });
  return lines;
}

void test('formulaLines: an asymmetric scheme with its numbers', async () => {
  assert.deepEqual(await linesOf({ scheme: 'u8_tensor' }), [
    'values lie in [-1, 3]',
    'rmin = -1, rmax = 3 (with 0 in it, clipped)',
    'scale = (rmax - rmin) / (qmax - qmin) = (3 - (-1)) / (255 - 0) = 0.01569',
    'zero_point = round(qmin - rmin / scale) = round(0 - (-1) / 0.01569) = 64',
    'real = 0.01569 * (code - 64), code in [0, 255]',
    'bits per weight = 8 * 9 stored bytes / 4 values = 18, 1 scale included',
  ]);
});

void test('formulaLines: a clipped symmetric scheme shows the range that is left', async () => {
  const lines = await linesOf({ scheme: 'i8_tensor', narrowRange: true, clipRatio: 0.5 });
  assert.equal(lines[1], 'rmin = -0.5, rmax = 1.5 (with 0 in it, clipped)');
  assert.equal(lines[2], 'scale = 2 * max(-rmin, rmax) / (qmax - qmin) = 2 * 1.5 / (127 - (-127)) = 0.01181');
  assert.equal(lines[3], 'zero_point = 0 (symmetric)');
});

void test('formulaLines: scales that are stored in another form show both', async () => {
  // 3 = 1.5 * 2^1, and the largest of f4e2m1 is 6 = 1.5 * 2^2: the scale is 2^(1 - 2).
  const lines = await linesOf({ scheme: 'mxfp4' });
  assert.equal(lines[2], 'scale = 2^(floor(log2 max |x|) - floor(log2 largest level)) = 2^(1 - 2) = 0.5');
});

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
