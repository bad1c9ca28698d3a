/** Schemes in the terminal: the list, and what one makes of a tensor. */
import { bytesText, numberText, percentText, sqnrText } from './format.js';
import { formulaLines, sharedBy } from './formula.js';
import type { Histogram, NamedScheme, SchemeReport } from './schema.js';
import { table } from './terminal.js';

export function schemesText(schemes: readonly NamedScheme[], columns = 120): string {
  const granularity = (scheme: NamedScheme): string =>
    scheme.granularity === 'per_block' ? `per_block ${scheme.blockSize}` : scheme.granularity;
  return table(
    [
      { title: 'scheme' },
      { title: 'bits', isRight: true },
      { title: 'granularity' },
      { title: 'scales' },
      { title: 'real of a code', isElastic: true },
      { title: 'held by', isElastic: true },
    ],
    schemes.map((scheme) => [
      scheme.name,
      String(scheme.bits),
      granularity(scheme),
      scheme.scaleForm,
      scheme.formula,
      scheme.targets,
    ]),
    columns,
  );
}

const eighths = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** Bars of a histogram, `rows` lines high, one column for each of `width` places. */
function bars(histogram: Histogram, width: number, rows: number): string[] {
  const heights = new Array<number>(width).fill(0);
  histogram.counts.forEach((count, i) => {
    const at = Math.min(width - 1, Math.floor(((i + 0.5) * width) / histogram.counts.length));
    heights[at] = (heights[at] ?? 0) + count;
  });
  const most = Math.max(1, ...heights);
  return Array.from({ length: rows }, (_, row) => {
    const below = (rows - 1 - row) * 8;
    return heights
      .map((count) => {
        // What is there at all is shown: at least an eighth in the lowest row.
        const height = Math.max(count > 0 ? 1 : 0, Math.round((count / most) * rows * 8));
        return eighths[Math.max(0, Math.min(8, height - below))] ?? ' ';
      })
      .join('');
  });
}

/** A mark under every place that a code of the shown scale stands for. */
function gridLine(histogram: Histogram, grid: readonly number[], width: number): string {
  const span = histogram.max - histogram.min;
  const marks = new Array<string>(width).fill('─');
  for (const real of grid) {
    const at = span > 0 ? Math.floor(((real - histogram.min) / span) * width) : 0;
    if (at >= 0 && at <= width) marks[Math.min(at, width - 1)] = '┴';
  }
  return marks.join('');
}

export function schemeReportText(tensor: string, scheme: string, report: SchemeReport, columns = 120): string {
  const lines = [
    `${tensor} [${report.shape.join(', ')}] as ${scheme}: ${report.encoding}, ${report.bits} bits, ${report.granularity}`,
    `  SQNR ${sqnrText(report.sqnr)}   cosine ${report.cosine.toFixed(6)}   largest error ${numberText(report.maxAbsError)}   mean squared error ${numberText(report.meanSquaredError)}`,
    `  ${report.bitsPerWeight.toFixed(3)} bits per weight with all scales, ${bytesText(report.storedBytes)} (float: ${bytesText(4 * report.shape.reduce((n, extent) => n * extent, 1))})`,
  ];
  if (report.notFinite > 0) lines.push(`  ${report.notFinite} values are NaN or infinite`);
  if (report.histogram !== null) {
    const { min, max } = report.histogram;
    const width = Math.max(32, Math.min(columns - 4, 96));
    lines.push('', ...bars(report.histogram, width, 8).map((line) => `  ${line}`));
    if (report.grid.length > 0) lines.push(`  ${gridLine(report.histogram, report.grid, width)}`);
    const [left, right] = [numberText(min), numberText(max)];
    lines.push(`  ${left}${' '.repeat(Math.max(1, width - left.length - right.length))}${right}`);
  }
  const shared = sharedBy(report);
  lines.push(
    '',
    ...(shared === '' ? [] : [`  ${shared} ${report.scaleIndex} of ${report.scaleCount}:`]),
    ...formulaLines(report).map((line) => `    ${line}`),
  );
  const total = report.codeCounts.reduce((sum, count) => sum + count, 0);
  if (report.grid.length > 0 && report.grid.length <= 16) {
    lines.push('');
    report.grid.forEach((real, i) => {
      const share = total === 0 ? 0 : (report.codeCounts[i] ?? 0) / total;
      const bar = '█'.repeat(Math.round(share * 40));
      lines.push(
        `  ${String(report.qmin + i).padStart(4)}  ${numberText(real).padStart(10)}  ${percentText(share).padStart(7)}  ${bar}`.trimEnd(),
      );
    });
  } else if (report.codeCounts.length > 0) {
    lines.push(`  ${report.codeCounts.filter((count) => count > 0).length} of ${report.codeCounts.length} codes are used`);
  }
  return lines.join('\n');
}
