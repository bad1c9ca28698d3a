import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { test } from 'node:test';

/** Folders of src and what each may include beside itself: what stands to its left in docs/architecture.md. */
const order = ['base', 'io', 'tensor', 'quant', 'kernels', 'model', 'ops', 'files', 'passes', 'engine', 'calibrate', 'report', 'api'];
/** Neighbours in that row that do not know each other, and folders that stand aside. */
const apart: Readonly<Record<string, readonly string[]>> = { passes: ['files'], engine: ['files'], calibrate: ['files', 'passes'], report: ['files', 'passes'] };

function mayInclude(folder: string, included: string): boolean {
  if (folder === included) return true;
  if (folder === 'samples') return included === 'base' || included === 'tensor';
  if (!order.includes(folder) || !order.includes(included)) return false;
  return order.indexOf(included) < order.indexOf(folder) && !(apart[folder] ?? []).includes(included);
}

void test('a folder of src includes only what stands to its left in the module map', () => {
  const source = new URL('../../src/', import.meta.url);
  const wrong: string[] = [];
  for (const name of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(h|cpp|inc)$/.test(name)) continue;
    const folder = name.split('/')[0] ?? '';
    for (const [, path = ''] of readFileSync(new URL(name, source), 'utf8').matchAll(/^#include "([^"]+)"/gm)) {
      if (path.includes('/') && !mayInclude(folder, path.split('/')[0] ?? '')) wrong.push(`${name} includes ${path}`);
    }
  }
  assert.deepEqual(wrong, []);
});
