import assert from 'node:assert/strict';
import { openToolkit, type Toolkit, type ToolkitOptions } from '../../../web/src/node.js';

/** A toolkit for one test, which must end with no live handle. */
export async function withToolkit(work: (toolkit: Toolkit) => Promise<void>, options: ToolkitOptions = {}): Promise<void> {
  const toolkit = await openToolkit(options);
  try {
    await work(toolkit);
    assert.equal(await toolkit.liveHandles(), 0, 'live handles at the end');
  } finally {
    await toolkit.dispose();
  }
}
