import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  quantize,
  reportHtml,
  type QuantizeOptions,
  type Report,
  type SchemeName,
  type ValueComparison,
} from '../../web/src/node.js';
import { reportText } from '../../web/src/report/terminal.js';
import { exampleSamples, loadExample } from './support/example.js';
import { withToolkit } from './support/toolkit.js';

async function exampleReport(options: Omit<QuantizeOptions, 'evaluation'>): Promise<Report> {
  return await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const result = await quantize(model, { ...options, evaluation: exampleSamples(model, 'eval', 2) });
    result.dispose();
    model.dispose();
    return result.report;
  });
}

let kept: Promise<Report> | undefined;
const weightOnlyReport = (): Promise<Report> => (kept ??= exampleReport({ recipe: { mode: 'weight_only' } }));

/** The report with these layers instead of its own. */
async function reportOf(layers: readonly { readonly sqnrDb: number | null; readonly cosine: number }[]): Promise<Report> {
  const report = await weightOnlyReport();
  assert.ok(report.comparison !== null);
  const values = layers.map(({ sqnrDb, cosine }, i): ValueComparison => {
    const rest = { opType: 'Conv', maxAbsError: 0.5, rmin: -1, rmax: 1 };
    return { value: `value${i}.`, node: `layer${i}.`, sqnr: { sqnrDb, isExact: false }, cosine, ...rest };
  });
  return { ...report, comparison: { ...report.comparison, values } };
}

/** Names of the bars, in their order, with the class of their colour. */
const barsOf = (html: string): string[][] =>
  [...html.matchAll(/<title>(layer\d+\.) [^<]*<\/title>.*?<rect class="(\w+)"/g)].map(([, name = '', kind = '']) => [name, kind]);

void test('error per layer: above 150 layers the worst are shown, in order of the graph, and the report says how many', async () => {
  // Every second layer is the worse half.
  const html = reportHtml(
    await reportOf(Array.from({ length: 224 }, (_, i) => ({ sqnrDb: i % 2 === 1 ? 5 + i / 100 : 40, cosine: 1 }))),
  );
  const names = barsOf(html).map(([name = '']) => Number(name.slice(5, -1)));
  assert.equal(names.length, 150);
  for (let i = 1; i < 224; i += 2) assert.ok(names.includes(i), `layer ${i} is missing`);
  assert.deepEqual(
    [...names].sort((a, b) => a - b),
    names,
  );
  assert.match(html, /The 150 worst of 224 are shown/);
  for (let i = 0; i < 224; ++i) assert.ok(html.includes(`>layer${i}.</td>`), `layer ${i} is not in the table`);
});

void test('a layer without SQNR (NaN) is shown as the worst, in HTML and in the terminal', async () => {
  const report = await reportOf(
    Array.from({ length: 200 }, (_, i) => ({ sqnrDb: i === 120 ? null : 40, cosine: i === 120 ? 0 : 1 })),
  );
  const html = reportHtml(report);
  assert.deepEqual(
    barsOf(html).filter(([, kind]) => kind === 'poor'),
    [['layer120.', 'poor']],
  );
  assert.match(html, /layer120\. \(Conv, value value120\., cosine 0\.000000\): none/);
  assert.match(
    reportText(report),
    /Where precision is lost \(worst first\)\n.*\nvalue120\. +layer120\. +Conv +none +0\.00000 +·{20}\n/,
  );
});

void test('cosines stand in HTML: of the outputs, of every value, beside the picture of an activation', async () => {
  const report = await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const calibration = exampleSamples(model, 'images', 4);
    const result = await quantize(model, { calibration, evaluation: calibration });
    result.dispose();
    model.dispose();
    return result.report;
  });
  const html = reportHtml(report);
  assert.ok(report.comparison !== null);
  for (const { cosine } of report.comparison.outputs) assert.ok(html.includes(`cosine ${cosine.toFixed(6)}</span>`));
  for (const { cosine } of report.comparison.values) assert.ok(html.includes(`<td class="number">${cosine.toFixed(6)}</td>`));
  const captions = [
    ...html.matchAll(/<figcaption>([^<]*)<br><span class="dim">u8, [^<]*, SQNR [^<]*, cosine ([\d.]+), clipped/g),
  ];
  assert.ok(captions.length > 10, `${captions.length} activations`);
  for (const [, tensor, cosine] of captions)
    assert.equal(report.comparison.values.find((row) => row.value === tensor)?.cosine.toFixed(6), cosine);
});

/** QLoRA, arXiv 2305.14314, appendix E. */
const nf4 = [
  -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
  -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
  0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
];

const schemeReport = (scheme: SchemeName): Promise<Report> =>
  exampleReport({ recipe: { mode: 'weight_only', weight: { scheme } } });

void test('histograms of nf4 have its own levels as the grid', async () => {
  const report = await schemeReport('nf4');
  const rows = report.tensors.filter((row) => row.scheme === 'nf4');
  assert.ok(rows.length > 10);
  const reachOf = (row: (typeof rows)[number]): number => Math.max(-row.rmin, row.rmax);
  for (const row of rows) {
    assert.equal(row.grid.length, 16);
    row.grid.forEach((real, code) => {
      assert.ok(
        Math.abs(real - (nf4[code] as number) * reachOf(row)) < 1e-6 * reachOf(row),
        `${row.tensor}: code ${code} is ${real}`,
      );
    });
  }
  const figures = [
    ...reportHtml(report).matchAll(
      /aria-label="values of ([^"]*)"><path class="bars" d="[^"]*"\/><path class="grid" d="([^"]*)"/g,
    ),
  ];
  assert.ok(figures.length > 10);
  for (const [, name, path = ''] of figures) {
    const row = rows.find(({ tensor }) => tensor === name) ?? assert.fail(name);
    const { min, max } = row.histogram ?? assert.fail();
    const expected = nf4.map((level) => ((level * reachOf(row) - min) / (max - min)) * 360).filter((x) => x >= 0 && x <= 360);
    const lines = [...path.matchAll(/M([\d.]+) 4V/g)].map(([, x]) => Number(x));
    assert.equal(lines.length, expected.length, name);
    lines.forEach((x, i) => {
      assert.ok(Math.abs(x - (expected[i] as number)) < 0.06, `${name}: line ${i} at ${x}`);
    });
  }
});

for (const [scheme, n] of [
  ['kmeans16', 16],
  ['bcq2', 4],
  ['fp4', 16],
  ['ternary', 4],
] as const)
  void test(`histograms of ${scheme} have its own levels as the grid`, async () => {
    const rows = (await schemeReport(scheme)).tensors.filter((row) => row.scheme === scheme);
    assert.ok(rows.length > 4);
    for (const { tensor, grid, rmin, rmax } of rows) {
      assert.ok(grid.length <= n && grid.length >= n - 1, `${tensor}: ${grid.length} levels`);
      // The group that reaches farthest holds an end of the whole range.
      const reach = Math.max(...grid.map(Math.abs));
      assert.ok(Math.abs(reach - Math.max(-rmin, rmax)) <= 1e-6 * reach, `${tensor}: ${reach}, ${rmin} to ${rmax}`);
    }
  });

void test('the grid of codes of fewer bits than their type has that many codes', async () => {
  const report = await schemeReport('i3_b32');
  const rows = report.tensors.filter((row) => row.scheme === 'i3_b32');
  assert.ok(rows.length > 4);
  for (const row of rows) assert.deepEqual([row.dtype, row.grid.length, row.qmin, row.qmax], ['i4', 0, -4, 3]);
  assert.match(reportHtml(report), /text-anchor="middle">8 codes</);
});
