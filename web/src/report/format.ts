/** Numbers and bytes as people read them: one way for terminal, HTML and page. */
import type { Share, Sqnr } from './schema.js';

export function bytesText(bytes: number): string {
  if (bytes < 1000) return `${bytes} B`;
  const units = ['kB', 'MB', 'GB', 'TB'];
  let value = bytes / 1000;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0)} ${units[unit] ?? ''}`;
}

/** 'none' where values became NaN or infinite, or are no longer the zeros that they were. */
export function sqnrText(sqnr: Sqnr | null): string {
  if (sqnr === null) return '';
  return sqnr.isExact ? 'exact' : sqnr.sqnrDb === null ? 'none' : `${sqnr.sqnrDb.toFixed(1)} dB`;
}

/** To sort by, worst first: no SQNR is worse than any, and nothing is better than exact. What was not measured comes last. */
export function sqnrRank(sqnr: Sqnr | null | undefined): number {
  if (sqnr == null || sqnr.isExact) return Number.MAX_VALUE;
  return sqnr.sqnrDb ?? -Number.MAX_VALUE;
}

/** Of labelled samples: how many more are answered wrong than before. */
export function lostText(lost: number): string {
  if (lost === 0) return 'none lost net';
  return lost > 0 ? `${lost} lost net` : `${-lost} gained net`;
}

export function percentText(share: number, digits = 1): string {
  return `${(share * 100).toFixed(digits)} %`;
}

/** "96.9 % (31 of 32; 95 % interval 84.3 to 99.4)". */
export function shareText(share: Share): string {
  const interval = `${(share.low * 100).toFixed(1)} to ${(share.high * 100).toFixed(1)}`;
  return `${percentText(share.share)} (${share.count} of ${share.total}; 95 % interval ${interval})`;
}

export function numberText(value: number): string {
  if (value === 0) return '0';
  const size = Math.abs(value);
  if (size >= 1e5 || size < 1e-3) return value.toExponential(2);
  return value.toPrecision(4).replace(/\.?0+$/, '');
}

/** Names and counts of one kind, most first: "Conv 52, Clip 35". */
export function countsText(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts]
    .sort((a, b) => b[1] - a[1])
    .map(([name, n]) => `${name} ${n}`)
    .join(', ');
}
