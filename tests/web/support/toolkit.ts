import assert from 'node:assert/strict';
import { after, before } from 'node:test';
import { openToolkit, type Toolkit, type ToolkitOptions } from '../../../web/src/node.js';

/** A toolkit for one test, which must end with no live handle. */
export async function withToolkit<T>(work: (toolkit: Toolkit) => Promise<T>, options: ToolkitOptions = {}): Promise<T> {
  const toolkit = await openToolkit(options);
  try {
    const answer = await work(toolkit);
    assert.equal(await toolkit.liveHandles(), 0, 'live handles at the end');
    return answer;
  } finally {
    await toolkit.dispose();
  }
}

/** One toolkit for all tests of a file, which must end with no live handle. */
export function useToolkit(take: (toolkit: Toolkit) => void, options: ToolkitOptions = {}): void {
  let toolkit: Toolkit;
  before(async () => {
    toolkit = await openToolkit(options);
    take(toolkit);
  });
  after(async () => {
    assert.equal(await toolkit.liveHandles(), 0, 'live handles at the end');
    await toolkit.dispose();
  });
}
