/**
 * The ONNX backend tests of one node, run by our engine in simulated arithmetic: those that do not pass are exactly those that
 * tests/conformance/node_tests_failing.csv lists with their reasons. The command that prints the list: docs/development.md.
 */
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createSession, loadModel, QuantError, type Tensor, type Toolkit } from '../../web/src/node.js';
import { backendTests, storedTensors, unpacked } from './support/conformance.js';
import { realsOf } from './support/measure.js';
import { whyNotShared } from './support/shared.js';
import { withToolkit } from './support/toolkit.js';

const leastPassing = 900;
/** They pass in the core (build/native/conformance); tensors of strings do not cross to JavaScript. */
const ofStrings = ['test_equal_string', 'test_equal_string_broadcast'];

/** |a - b| <= absolute + relative * |b|: the suite's own bounds, with room for another order of sums. Halves have 11 (bf16: 8) bits. */
const tolerances: Readonly<Partial<Record<Tensor['dtype'], readonly [absolute: number, relative: number]>>> = {
  f64: [1e-5, 1e-3],
  f32: [1e-5, 1e-3],
  f16: [1e-3, 2e-3],
  bf16: [1e-2, 1e-2],
};

/** Empty if equal: exactly but for floats of 16 bits and more. */
function difference(got: Tensor | undefined, wanted: Tensor): string {
  if (got === undefined) return 'is missing';
  if (got.dtype !== wanted.dtype) return `type ${got.dtype} for ${wanted.dtype}`;
  if (got.shape.join() !== wanted.shape.join()) return `shape [${got.shape.join()}] for [${wanted.shape.join()}]`;
  const [absolute, relative] = tolerances[wanted.dtype] ?? [0, 0];
  const [found, right] = [realsOf(got), realsOf(wanted)];
  if (found.length !== right.length) return `${found.length} elements for ${right.length}`;
  for (let i = 0; i < right.length; ++i) {
    const [a, b] = [found[i], right[i]];
    if (a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    if (
      typeof a === 'number' &&
      typeof b === 'number' &&
      Number.isFinite(b) &&
      Math.abs(a - b) <= absolute + relative * Math.abs(b)
    )
      continue;
    return `element ${i} is ${String(a)} for ${String(b)}`;
  }
  return '';
}

/** Why a test does not pass; empty if it does. */
async function finding(toolkit: Toolkit, folder: string): Promise<string> {
  const model = await loadModel(toolkit, join(folder, 'model.onnx'));
  try {
    const session = await createSession(model);
    try {
      for (const dataSet of readdirSync(folder).filter((name) => name.startsWith('test_data_set_'))) {
        const inputs = await storedTensors(toolkit, join(folder, dataSet), 'input');
        const feeds = Object.fromEntries(inputs.map((tensor, i) => [model.info.inputs[i]?.name ?? '', tensor]));
        const outputs = await session.run(feeds);
        for (const [i, wanted] of (await storedTensors(toolkit, join(folder, dataSet), 'output')).entries()) {
          const name = model.info.outputs[i]?.name ?? '';
          const found = difference(outputs[name], wanted);
          if (found !== '') return `output '${name}' ${found}`;
        }
      }
      return '';
    } finally {
      session.dispose();
    }
  } finally {
    model.dispose();
  }
}

void test(
  'ONNX node tests: those that do not pass are those that are listed with their reasons',
  { skip: whyNotShared(backendTests) },
  async (context) => {
    const list = fileURLToPath(new URL('../conformance/node_tests_failing.csv', import.meta.url));
    const listed = readFileSync(list, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.slice(0, line.indexOf(',')));
    const failing = new Map<string, string>();
    const names = await unpacked(backendTests, async (folder) => {
      const all = readdirSync(join(folder, 'node')).sort();
      await withToolkit(async (toolkit) => {
        for (const name of all) {
          try {
            const found = await finding(toolkit, join(folder, 'node', name));
            if (found !== '') failing.set(name, found);
          } catch (error) {
            if (!(error instanceof QuantError)) throw error;
            failing.set(name, `${error.code}: ${error.message}`);
          }
        }
      });
      return all;
    });
    context.diagnostic(`${names.length - failing.size} of ${names.length} pass`);
    assert.equal(names.length, 1546);
    assert.ok(names.length - failing.size >= leastPassing);
    const known = new Set([...listed, ...ofStrings]);
    const unlisted = [...failing].filter(([name]) => !known.has(name)).map(([name, found]) => `${name}: ${found}`);
    assert.deepEqual(unlisted, [], 'these do not pass and are not listed');
    assert.deepEqual(
      [...known].filter((name) => !failing.has(name)),
      [],
      'these pass, or are not there, and are listed',
    );
  },
);
