import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorMeanings, fromErrorData, QuantError, toErrorData } from '../../web/src/errors.js';

const repository = new URL('../../', import.meta.url);
const textOf = (name: string) => readFileSync(new URL(name, repository), 'utf8');

void test('TypeScript and C++ have the same error codes with the same meanings, in the same order', () => {
  const rows = [...textOf('src/base/error_codes.inc').matchAll(/^BITWRIGHT_ERROR_CODE\((\w+), "([^"]*)"\)$/gm)];
  assert.ok(rows.length > 0);
  assert.deepEqual(
    Object.entries(errorMeanings),
    rows.map(([, code, meaning]) => [code, meaning]),
  );
});

void test('package.json, its lock and the core have the same version', () => {
  const { version } = JSON.parse(textOf('package.json')) as { version: string };
  const lock = JSON.parse(textOf('package-lock.json')) as { version: string };
  assert.equal(/kVersion = "([^"]+)"/.exec(textOf('src/api/version.h'))?.[1], version);
  assert.equal(lock.version, version);
});

void test('an error survives the way through a message', () => {
  const error = new QuantError('bad_graph', "node 'a': cycle", 'a');
  const back = fromErrorData(structuredClone(toErrorData(error)));
  assert.ok(back instanceof QuantError);
  assert.deepEqual([back.code, back.message, back.subject, back.stack], ['bad_graph', "node 'a': cycle", 'a', error.stack]);
});

void test('foreign errors become internal, and missing memory out_of_memory', () => {
  assert.equal(toErrorData(new TypeError('x')).code, 'internal');
  assert.equal(toErrorData('text').message, 'text');
  assert.equal(toErrorData(new RangeError('Array buffer allocation failed')).code, 'out_of_memory');
});
