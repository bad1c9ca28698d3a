import type { NodeTime } from '../session.js';

export interface NodeShare {
  readonly node: string;
  readonly opType: string;
  /** Mean of all runs. */
  readonly timeMs: number;
  readonly share: number;
}

export interface ProfileSummary {
  /** One run, all nodes together: a mean. */
  readonly timeMs: number;
  /** The slowest first. */
  readonly nodes: readonly NodeShare[];
}

/** Times per run, and each node's share of them. */
export function summarizeProfile(rows: readonly NodeTime[]): ProfileSummary {
  const total = rows.reduce((sum, row) => sum + row.timeMs / Math.max(1, row.runs), 0);
  const nodes = rows.map(({ node, opType, timeMs, runs }) => {
    const mean = timeMs / Math.max(1, runs);
    return { node, opType, timeMs: mean, share: mean / Math.max(total, 1e-9) };
  });
  return { timeMs: total, nodes: nodes.sort((a, b) => b.timeMs - a.timeMs) };
}
