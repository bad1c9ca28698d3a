import type { NodeTime } from '../session.js';

/** Of one step: `timeMs` is the mean of all runs. */
export type StepShare<T extends NodeTime> = T & { readonly share: number };

export interface ProfileSummary<T extends NodeTime> {
  /** One run, all steps together: a mean. */
  readonly timeMs: number;
  /** The slowest first. */
  readonly nodes: readonly StepShare<T>[];
}

/** Times per run, and each step's share of them. */
export function summarizeProfile<T extends NodeTime>(rows: readonly T[]): ProfileSummary<T> {
  const total = rows.reduce((sum, row) => sum + row.timeMs / Math.max(1, row.runs), 0);
  const nodes = rows.map((row) => {
    const timeMs = row.timeMs / Math.max(1, row.runs);
    return { ...row, timeMs, share: timeMs / Math.max(total, 1e-9) };
  });
  return { timeMs: total, nodes: nodes.sort((a, b) => b.timeMs - a.timeMs) };
}
