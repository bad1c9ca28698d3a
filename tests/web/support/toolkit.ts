import assert from 'node:assert/strict';
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
