import { QuantError } from './errors.js';
import type { SchemeOverrides } from './scheme-overrides.js';

/**
 * For rounding `mask`: which elements of a tensor round up (others down), by the tensor's name. A byte for each element, 0 or 1, or a
 * bit for each, low ones first.
 */
export type RoundingMasks = Readonly<Record<string, Uint8Array>>;

/** @throws QuantError `invalid_argument` naming the tensor whose mask is no Uint8Array, or where nothing is rounded by masks */
export function checkMasks(masks: RoundingMasks, rounding: SchemeOverrides['rounding']): void {
  for (const [tensor, mask] of Object.entries(masks)) {
    if (!((mask as unknown) instanceof Uint8Array))
      throw new QuantError('invalid_argument', `roundingMasks: that of '${tensor}' must be a Uint8Array`, tensor);
    if (rounding !== 'mask')
      throw new QuantError('invalid_argument', `roundingMasks: that of '${tensor}' is for rounding 'mask'; ask for it`, tensor);
  }
}
