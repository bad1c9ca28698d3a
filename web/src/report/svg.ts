/** Small charts as SVG text: the HTML report and the page draw with them. Colours come from CSS variables of the page around. */
import { numberText } from './format.js';
import type { Histogram } from './schema.js';

export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** What the codes stand for: evenly spaced, or one by one in ascending order. */
export type CodeGrid =
  | { readonly scale: number; readonly zeroPoint: number; readonly qmin: number; readonly qmax: number }
  | { readonly levels: readonly number[] };

/** The least distance of two lines, in units of the picture. */
const leastGap = 3;

/** Ends of the grid, where its lines stand, and what a reader should know of them. */
function linesOf(grid: CodeGrid, perReal: number): { low: number; high: number; lines: readonly number[]; note: string } | null {
  if ('levels' in grid) {
    const { levels } = grid;
    const [low] = levels;
    const high = levels.at(-1);
    if (low === undefined || high === undefined) return null;
    const lines: number[] = [];
    for (const level of levels) {
      const last = lines.at(-1);
      if (last === undefined || (level - last) * perReal >= leastGap || level === high) lines.push(level);
    }
    return { low, high, lines, note: `${lines.length < levels.length ? `${lines.length} of ` : ''}${levels.length} levels` };
  }
  const { scale, zeroPoint, qmin, qmax } = grid;
  if (!(scale > 0)) return null;
  const real = (code: number): number => (code - zeroPoint) * scale;
  const n = qmax - qmin + 1;
  let step = 1;
  while (scale * step * perReal < leastGap && step < n) step *= 2;
  const lines = Array.from({ length: Math.ceil(n / step) }, (_, i) => real(qmin + i * step));
  return {
    low: real(qmin),
    high: real(qmax),
    lines,
    note: step > 1 ? `every ${step}${step === 2 ? 'nd' : 'th'} of ${n} codes` : `${n} codes`,
  };
}

/**
 * A histogram with the code grid over it: bars are values (height by square root, so that rare ones are seen), thin lines are
 * codes (every 2^n-th, or fewer levels, where they would lie closer than 3 units), the shaded ends are what the range clips.
 */
export function histogramSvg(histogram: Histogram, grid: CodeGrid | null, label: string): string {
  const width = 360;
  const height = 110;
  const { min, max, counts } = histogram;
  const span = max - min || 1;
  const x = (value: number): number => ((value - min) / span) * width;
  const highest = Math.max(1, ...counts);
  const barWidth = width / Math.max(1, counts.length);
  const bars = counts
    .map((count, i) => {
      const h = Math.sqrt(count / highest) * (height - 22);
      return count === 0
        ? ''
        : `M${(i * barWidth).toFixed(1)} ${height - 16}v${(-h).toFixed(1)}h${Math.max(barWidth, 0.6).toFixed(2)}v${h.toFixed(1)}z`;
    })
    .join('');
  let lines = '';
  let clips = '';
  let note = '';
  const drawn = grid === null ? null : linesOf(grid, width / span);
  if (drawn !== null) {
    const { low, high } = drawn;
    for (const real of drawn.lines) {
      const at = x(real);
      if (at >= 0 && at <= width) lines += `M${at.toFixed(1)} 4V${height - 16}`;
    }
    if (low > min) clips += `<rect class="clip" x="0" y="0" width="${x(low).toFixed(1)}" height="${height - 16}"/>`;
    if (high < max)
      clips += `<rect class="clip" x="${x(high).toFixed(1)}" y="0" width="${(width - x(high)).toFixed(1)}" height="${height - 16}"/>`;
    ({ note } = drawn);
  }
  return (
    `<svg class="histogram" viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(label)}">` +
    `<path class="bars" d="${bars}"/><path class="grid" d="${lines}"/>${clips}` +
    `<text x="0" y="${height - 3}">${numberText(min)}</text><text x="${width / 2}" y="${height - 3}" text-anchor="middle">${note}</text>` +
    `<text x="${width}" y="${height - 3}" text-anchor="end">${numberText(max)}</text></svg>`
  );
}

export interface Bar {
  readonly name: string;
  readonly detail: string;
  readonly value: number;
  readonly text: string;
}

/** Horizontal bars, one a row; the worst are coloured. `good` is the value of a full bar, below `poor` it is coloured. */
export function barsSvg(rows: readonly Bar[], good: number, poor: number, label: string): string {
  const rowHeight = 18;
  const left = 300;
  const width = 760;
  const full = width - left - 80;
  const body = rows
    .map((row, i) => {
      const y = i * rowHeight;
      const length = Math.max(1, Math.min(1, Math.max(0, row.value) / good) * full);
      const kind = row.value < poor ? 'poor' : row.value < (good + poor) / 2 ? 'fair' : 'fine';
      const name = row.name.length > 44 ? `${row.name.slice(0, 20)}…${row.name.slice(-22)}` : row.name;
      return (
        `<g><title>${escapeHtml(`${row.name} (${row.detail}): ${row.text}`)}</title>` +
        `<text x="${left - 8}" y="${y + 13}" text-anchor="end">${escapeHtml(name)}</text>` +
        `<rect class="${kind}" x="${left}" y="${y + 3}" width="${length.toFixed(1)}" height="${rowHeight - 6}" rx="2"/>` +
        `<text x="${left + length + 6}" y="${y + 13}">${escapeHtml(row.text)}</text></g>`
      );
    })
    .join('');
  return `<svg class="rows" viewBox="0 0 ${width} ${rows.length * rowHeight + 4}" role="img" aria-label="${escapeHtml(label)}">${body}</svg>`;
}
