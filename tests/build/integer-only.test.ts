/** Proves of arithmetic 'integer_only' that the functions which a plan calls, and all that these call, hold no float instruction. */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { createSession, loadModel, quantize } from '../../web/src/node.js';
import { exampleBytes, exampleFeeds } from '../web/support/example.js';
import { withToolkit } from '../web/support/toolkit.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
/** The test program: the same objects as the module, linked with names. */
const program = join(root, 'build/wasm-simd/bitwright_tests.wasm');

function findDisassembler(): string | undefined {
  const own = join(root, '.toolchain/emscripten/usr/bin/wasm-dis');
  if (existsSync(own)) return own;
  try {
    return execFileSync('which', ['wasm-dis'], { encoding: 'utf8' }).trim();
  } catch {
    return undefined;
  }
}

interface Facts {
  readonly calls: Set<string>;
  isIndirect: boolean;
  /** The first float instruction. */
  float: string;
}

const nameText = '"[^"]*"|[^\\s()]+';

/** What each function calls, and whether it holds a float instruction: of the text form. */
async function readFunctions(disassembler: string): Promise<Map<string, Facts>> {
  const functions = new Map<string, Facts>();
  const child = spawn(disassembler, [program, '--all-features'], { stdio: ['ignore', 'pipe', 'inherit'] });
  let current: Facts | undefined;
  for await (const line of createInterface({ input: child.stdout })) {
    const opened = new RegExp(`^ \\(func \\$(${nameText})`).exec(line);
    if (opened?.[1] !== undefined) {
      current = { calls: new Set(), isIndirect: false, float: '' };
      functions.set(opened[1], current);
    }
    if (current === undefined) continue;
    const called = new RegExp(`\\((?:return_)?call \\$(${nameText})`).exec(line);
    if (called?.[1] !== undefined) current.calls.add(called[1]);
    if (/\((?:return_)?call_indirect/.test(line)) current.isIndirect = true;
    const float = /\((f32|f64|f32x4|f64x2|i32x4\.trunc_sat_f\w+|i32x4\.relaxed_trunc\w*|i32\.trunc\w*|i64\.trunc\w*)[.\s]/.exec(line);
    if (current.float === '' && float !== null) current.float = line.trim();
  }
  return functions;
}

/** The first float instruction of each function that has one, of these and of all that they call. */
function floatsBelow(functions: ReadonlyMap<string, Facts>, roots: Iterable<string>, seen = new Set<string>()): string[] {
  const open = [...roots];
  const found: string[] = [];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (seen.has(name)) continue;
    seen.add(name);
    const facts = functions.get(name);
    if (facts === undefined) continue; // an import: what throws
    if (facts.float !== '') found.push(`${name}: ${facts.float}`);
    open.push(...facts.calls);
  }
  return found;
}

const disassembler = findDisassembler();
const whyNot =
  disassembler === undefined
    ? 'no wasm-dis on this machine'
    : existsSync(program)
      ? false
      : 'build/wasm-simd/bitwright_tests.wasm is not built (npm test -- wasm)';

void test('integer_only: no float instruction stands in what a plan calls', { skip: whyNot, timeout: 600_000 }, async (context) => {
  const kernels = new Set<string>();
  await withToolkit(async (toolkit) => {
    const model = await loadModel(toolkit, exampleBytes(), { name: 'model.onnx' });
    const feeds = await exampleFeeds(model, 'images', 2);
    const result = await quantize(model, { calibration: feeds.map((sample) => ({ feeds: sample })), evaluation: false });
    const session = await createSession(result.model, { arithmetic: 'integer_only', kernels: 'simd128' });
    await session.run(feeds[0] ?? {});
    const rows = await session.explain();
    const first = rows.findIndex(({ opType }) => opType === 'Quantize');
    const last = rows.findLastIndex(({ opType }) => opType === 'Dequantize');
    assert.ok(first >= 0 && last > first, 'the island has two ends');
    for (const row of rows.slice(first + 1, last)) {
      assert.equal(row.integer, true, `${row.node} is no integer step: ${row.reason}`);
      if (row.kernel !== '') kernels.add(row.kernel);
    }
    session.dispose();
    result.dispose();
    model.dispose();
  });
  assert.ok(kernels.size >= 3, 'the plan calls kernels');

  const functions = await readFunctions(disassembler ?? '');
  const roots = new Set<string>();
  const isParallel = [...functions.keys()].some((name) => name.startsWith('"bitwright::parallel_for('));
  const addRoots = (what: string, isOne: (name: string) => boolean): void => {
    const found = [...functions.keys()].filter(isOne);
    assert.ok(found.length > 0, `${what} is not in the program`);
    for (const name of found) roots.add(name);
  };
  for (const kernel of kernels)
    addRoots(kernel, (name) => name.startsWith(`"bitwright::${kernel}`) && !name.includes('_fast('));
  // What stands between the plan and a kernel: the bound calls, the loops over threads, and what the loops hand to the threads.
  for (const call of ['Conv', 'Depthwise', 'Binary', 'Lookup', 'Concat', 'Pool', 'Layout', 'Softmax', 'LayerNorm', 'Pixels'])
    addRoots(call, (name) => name.includes(`namespace)::${call}Call>(`) && name.includes('::__invoke('));
  for (const loop of ['conv_u8_i8', 'depthwise_u8_i8', 'binary_u8', 'lookup_u8', 'pool_u8'].map((what) => `${what}_blocked(`)) {
    addRoots(loop, (name) => name.startsWith(`"bitwright::${loop}`));
    // A module without threads has parallel_for, and the body that is handed to it, within the loop itself.
    if (isParallel) addRoots(`the body of ${loop}`, (name) => name.includes(`bitwright::${loop}`) && /::(operator\(\)|__invoke)\(/.test(name));
  }

  const seen = new Set<string>();
  assert.deepEqual(floatsBelow(functions, roots, seen), []);
  context.diagnostic(`${kernels.size} kernels, ${roots.size} roots, ${seen.size} functions without a float instruction`);

  // The walk sees floats where there are some.
  const fast = [...functions.keys()].filter((name) => name.startsWith('"bitwright::conv_u8_i8_u8__simd128_fast('));
  assert.ok(fast.length > 0 && floatsBelow(functions, fast).length > 0);
});
