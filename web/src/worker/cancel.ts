/**
 * How an abort reaches a call of the core that is under way: a worker takes no message meanwhile. Where memory may be shared, through
 * a flag; elsewhere (pages that are not cross-origin isolated) through a blob's URL that is revoked, which a worker can ask for in
 * the midst of its work.
 */
import type { Verb } from './protocol.js';

/** What crosses with a call; null where the call cannot be aborted. */
export type CancelToken = { readonly kind: 'flag'; readonly flag: Int32Array } | { readonly kind: 'url'; readonly url: string };

export interface Canceller {
  readonly token: CancelToken;
  cancel(): void;
  /** When the call has ended. */
  release(): void;
}

/** In the type library of pages, which workers in Node do not have. */
interface SynchronousRequest {
  open(method: 'GET', url: string, isAsynchronous: false): void;
  send(): void;
}
declare const XMLHttpRequest: (new () => SynchronousRequest) | undefined;

/** Memory of four bytes that both sides see; undefined where none may be shared. */
function sharedFlag(): Int32Array | undefined {
  const isIsolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated ?? true;
  return isIsolated && typeof SharedArrayBuffer !== 'undefined' ? new Int32Array(new SharedArrayBuffer(4)) : undefined;
}

/** Calls that go on in steps between which they may end. */
const stepwise: readonly Verb[] = ['quantize', 'writeModel'];

/** Null where an abort cannot reach the call: it is a single step, which has begun once its message is read. */
export function makeCanceller(verb: Verb): Canceller | null {
  const flag = sharedFlag();
  if (flag !== undefined) {
    return { token: { kind: 'flag', flag }, cancel: () => void Atomics.store(flag, 0, 1), release: () => undefined };
  }
  if (!stepwise.includes(verb)) return null; // a request would cost more than many of these calls
  const url = URL.createObjectURL(new Blob(['0']));
  const revoke = (): void => {
    URL.revokeObjectURL(url);
  };
  return { token: { kind: 'url', url }, cancel: revoke, release: revoke };
}

/** A request takes some milliseconds; between steps that are shorter than this it is left out. */
const askEveryMs = 100;

function isReachable(url: string): boolean {
  if (typeof XMLHttpRequest === 'undefined') return false;
  try {
    const request = new XMLHttpRequest();
    request.open('GET', url, false);
    request.send();
    return true;
  } catch {
    return false;
  }
}

/** False where the page's policy keeps workers from asking for blobs: nothing can be told by them then. */
let mayAsk: boolean | undefined;

function checkMayAsk(): boolean {
  const own = URL.createObjectURL(new Blob(['0']));
  const answer = isReachable(own);
  URL.revokeObjectURL(own);
  return answer;
}

/** What the worker asks between its steps, and before a call: whether nobody waits for its end any more. */
export function isCancelledBy(token: CancelToken | null): () => boolean {
  if (token === null) return () => false;
  if (token.kind === 'flag') return () => Atomics.load(token.flag, 0) !== 0;
  let askedMs = -Infinity;
  let isCancelled = false;
  return () => {
    const nowMs = performance.now();
    if (isCancelled || nowMs - askedMs < askEveryMs) return isCancelled;
    askedMs = nowMs;
    mayAsk ??= checkMayAsk();
    isCancelled = mayAsk && !isReachable(token.url);
    return isCancelled;
  };
}
