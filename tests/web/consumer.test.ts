import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

void test("the package's types serve a consumer's strict tsc, without the types of Node", () => {
  const path = (name: string) => fileURLToPath(new URL(`../../${name}`, import.meta.url));
  const ended = spawnSync(process.execPath, [path('node_modules/typescript/bin/tsc'), '-p', path('tests/web/consumer')], {
    encoding: 'utf8',
  });
  assert.equal(ended.status, 0, ended.stdout);
});
