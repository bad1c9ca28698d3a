import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

const repository = new URL('../../', import.meta.url);
const textOf = (name: string) => readFileSync(new URL(name, repository), 'utf8');

void test('package-lock.json names no host: run `npm run relock` after changing dependencies', () => {
  const lock = textOf('package-lock.json');
  assert.equal(lock.match(/"resolved":/g), null);
  assert.equal(lock.match(/[a-z]+:\/\/[^"]*/g), null);
});

void test('the package has no runtime dependencies', () => {
  const manifest = JSON.parse(textOf('package.json')) as Record<string, unknown>;
  assert.equal(manifest['dependencies'], undefined);
});
