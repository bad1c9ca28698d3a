import type { Progress } from '../types.js';

function duration(ms: number): string {
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

export interface ProgressPrinter {
  readonly onProgress: (progress: Progress) => void;
  /** Ends the line, so that what follows starts on a new one. */
  end(): void;
}

/** A bar on a terminal, a line every few seconds elsewhere; always on stderr. */
export function progressPrinter(isQuiet: boolean): ProgressPrinter {
  const stream = process.stderr;
  if (isQuiet) return { onProgress: () => undefined, end: () => undefined };
  let stage = '';
  let toldMs = 0;
  let isLineOpen = false;
  const end = (): void => {
    if (isLineOpen) stream.write('\n');
    isLineOpen = false;
  };
  return {
    onProgress: ({ stage: name, done, total, etaMs }) => {
      const nowMs = performance.now();
      const isNew = name !== stage;
      const isLast = done >= total;
      if (isNew) end();
      if (!isNew && !isLast && nowMs - toldMs < (stream.isTTY ? 100 : 5000)) return;
      stage = name;
      toldMs = nowMs;
      const share = total > 0 ? Math.min(done / total, 1) : 0;
      const eta = etaMs === undefined ? '' : `, ${duration(etaMs)} left`;
      if (stream.isTTY) {
        const filled = Math.round(share * 24);
        stream.write(`\r\x1b[K${name.padEnd(12)} ${'█'.repeat(filled)}${'░'.repeat(24 - filled)} ${done}/${total}${eta}`);
        isLineOpen = true;
      } else if (isNew || isLast || etaMs !== undefined) {
        stream.write(`${name}: ${done}/${total}${eta}\n`);
      }
    },
    end,
  };
}
