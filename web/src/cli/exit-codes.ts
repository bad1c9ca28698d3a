import { QuantError, type ErrorCode } from '../errors.js';

/** What the process answers; told in `--help`. */
export const exitCodes = {
  done: 0,
  failed: 1,
  usage: 2,
  badModel: 3,
  accuracyMissed: 4,
  unsupported: 5,
  nothingQuantized: 6,
  notSmaller: 7,
  interrupted: 130,
} as const;

export const exitCodeHelp =
  'Exit codes: 0 done, 1 failed, 2 usage, 3 bad model, 4 accuracy target missed, 5 unsupported,\n' +
  '6 nothing quantized, 7 not smaller, 130 interrupted.';

/** A command line that cannot be understood. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

const byCode: Partial<Record<ErrorCode, number>> = {
  bad_recipe: exitCodes.usage,
  invalid_argument: exitCodes.usage,
  pattern_unmatched: exitCodes.usage,
  bad_model: exitCodes.badModel,
  bad_graph: exitCodes.badModel,
  bad_external_data: exitCodes.badModel,
  limit_exceeded: exitCodes.badModel,
  accuracy_missed: exitCodes.accuracyMissed,
  unsupported: exitCodes.unsupported,
  nothing_quantized: exitCodes.nothingQuantized,
  not_smaller: exitCodes.notSmaller,
  aborted: exitCodes.interrupted,
};

export function exitCodeOf(error: unknown): number {
  if (error instanceof UsageError) return exitCodes.usage;
  if (error instanceof QuantError) return byCode[error.code] ?? exitCodes.failed;
  if (error instanceof Error && error.name === 'AbortError') return exitCodes.interrupted;
  return exitCodes.failed;
}
