import type { OpenOptions } from '../worker/protocol.js';

/** The smallest module that uses relaxed SIMD and shared memory; validating them tells what the engine has. */
const relaxedSimdProbe = new Uint8Array([
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2,
  11,
]);

export interface Choice {
  readonly variant: 'simd' | 'relaxed';
  readonly threads: number;
  readonly reason: string;
}

export interface HostFacts {
  /** Shared memory can be had: pages that are cross-origin isolated, and Node. */
  readonly canShareMemory: boolean;
  readonly whyNotShared: string;
  readonly cores: number;
}

export function hasRelaxedSimd(): boolean {
  return WebAssembly.validate(relaxedSimdProbe);
}

/**
 * Which of the four modules to load. `auto` takes relaxed SIMD where the engine has it: it serves plain runs and exact products of
 * codes; whatever decides the bytes of an output keeps one float order in either module.
 */
export function chooseModule(options: OpenOptions, facts: HostFacts): Choice {
  const reasons: string[] = [];
  let variant: 'simd' | 'relaxed' = 'simd';
  if (options.variant === 'simd') reasons.push('simd: asked for');
  else if (hasRelaxedSimd()) variant = 'relaxed';
  else reasons.push('simd: this engine has no relaxed SIMD');
  let threads = Math.max(1, Math.min(options.threads, facts.cores));
  if (threads < options.threads) reasons.push(`threads: ${threads} because there are ${facts.cores} cores`);
  if (threads > 1 && !facts.canShareMemory) {
    threads = 1;
    reasons.push(`threads: 1 because ${facts.whyNotShared}`);
  } else if (options.threads === 1) {
    reasons.push('threads: 1 because that is the default');
  }
  return { variant, threads, reason: reasons.join('; ') };
}
