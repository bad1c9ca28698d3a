import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bytesText, lostText, percentText } from '../../web/src/node.js';

void test('lostText: a gain is no negative loss', () => {
  assert.deepEqual([2, 0, -1].map(lostText), ['2 lost net', 'none lost net', '1 gained net']);
});

void test('bytesText and percentText round as people read', () => {
  assert.deepEqual([999, 1234, 12_345, 123_456_789].map(bytesText), ['999 B', '1.23 kB', '12.3 kB', '123 MB']);
  assert.equal(percentText(0.7205), '72.0 %');
});
