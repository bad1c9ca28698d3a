/** Compares what our engine and both onnxruntimes make of every group of a quantized model, each fed with the same codes. */
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import {
  createSession,
  loadModel,
  quantize,
  type Feeds,
  type Model,
  type RecipeInput,
  type Session,
  type Tensor,
} from '../../../web/src/node.js';
import { cutAtCodes, cutName, groupsOf, nodesOf, type Group } from './cut-model.js';
import { openRuntime, runtimeNames, whyNotExact, type OpenedRuntime, type RuntimeName } from './onnxruntime.js';

interface Tally {
  readonly label: string;
  total: number;
  equal: number;
  worst: number;
  groups: number;
}

function count(tally: Tally, ours: Tensor, theirs: Tensor, name: string): void {
  assert.equal(theirs.dtype, ours.dtype, `${name}: type`);
  assert.deepEqual(theirs.shape, ours.shape, `${name}: shape`);
  for (let i = 0; i < ours.data.length; ++i) {
    const difference = Math.abs(Number(ours.data[i]) - Number(theirs.data[i]));
    if (difference === 0) tally.equal += 1;
    else if (difference > tally.worst) tally.worst = difference;
  }
  tally.total += ours.data.length;
}

/** What onnxruntime made of the group that writes these codes; moves to other layouts behind it are left out. */
function kernelOf(optimized: ReturnType<typeof nodesOf>, { codes, label }: Group): string {
  let value = cutName(codes);
  for (;;) {
    const node = optimized.find(({ outputs }) => outputs.includes(value));
    if (node === undefined) return 'not known';
    if (node.opType !== 'Transpose' || label.includes('Transpose'))
      return node.opType === 'QuantizeLinear' ? 'float' : node.opType;
    value = node.inputs[0] ?? '';
  }
}

/** The largest difference of a float output, in parts of its largest magnitude: it comes from codes too, without a QuantizeLinear. */
function farApart(ours: Tensor, theirs: Tensor): number {
  let [difference, magnitude] = [0, Number.MIN_VALUE];
  for (let i = 0; i < ours.data.length; ++i) {
    const [a, b] = [Number(ours.data[i]), Number(theirs.data[i])];
    difference = Math.max(difference, Math.abs(a - b));
    magnitude = Math.max(magnitude, Math.abs(b));
  }
  return difference / magnitude;
}

/** The graph that onnxruntime-node runs after its rewriting. */
async function openOptimized(bytes: Uint8Array): Promise<{ runtime: OpenedRuntime; optimized: ReturnType<typeof nodesOf> }> {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-per-node-'));
  try {
    const optimizedPath = join(folder, 'optimized.onnx');
    const runtime = await openRuntime('onnxruntime-node', bytes, { optimizedPath });
    return { runtime, optimized: nodesOf(new Uint8Array(readFileSync(optimizedPath))) };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** A quantized model, the bytes of its file, and what it is fed. */
export interface Codes {
  readonly model: Model;
  readonly bytes: Uint8Array;
  readonly feeds: readonly Feeds[];
  /** onnxruntime runs what stands in the file, without rewriting it. */
  readonly isVerbatim?: boolean;
  /** The share of equal codes that groups of one label need, where it is less than 99.9 %. */
  readonly leastEqual?: Readonly<Record<string, number>>;
}

const usualEqual = 0.999;

/** All codes that the engine and the runtimes make of the same codes are at most one apart, and 99.9 % of each group are equal. */
export async function compareCodes(context: TestContext, codes: Codes): Promise<void> {
  const { model, bytes, feeds, isVerbatim = false, leastEqual = {} } = codes;
  const groups = groupsOf(bytes);
  const names = groups.map(({ codes }) => codes);
  const session = await createSession(model);
  const exact = runtimeNames.filter((name) => whyNotExact(name) === undefined);
  const opened: { name: RuntimeName; runtime: OpenedRuntime }[] = [];
  const tallies = new Map<string, Tally>();
  const apart: Record<string, number> = {};
  let optimized: ReturnType<typeof nodesOf> = [];
  let integer: Session | undefined;
  let cutModel: Model | undefined;
  try {
    for (const sample of feeds) {
      const { outputs: floats, observed } = await session.runObserved(sample, names);
      if (opened.length === 0) {
        const cut = cutAtCodes(bytes, observed);
        cutModel = await loadModel(model.toolkit, cut);
        integer = await createSession(cutModel, { arithmetic: 'fast' });
        for (const name of exact) {
          if (isVerbatim || name === 'onnxruntime-web') {
            opened.push({ name, runtime: await openRuntime(name, cut, { isVerbatim }) });
            continue;
          }
          const found = await openOptimized(cut);
          opened.push({ name, runtime: found.runtime });
          optimized = found.optimized;
        }
      }
      const fast = await integer?.run({ ...sample, ...observed });
      for (const { name, runtime } of opened) {
        const outputs = await runtime.run({ ...sample, ...observed });
        for (const group of groups) {
          const theirs = outputs[cutName(group.codes)];
          for (const [arithmetic, ours] of [
            ['simulated', observed[group.codes]],
            ['fast', fast?.[cutName(group.codes)]],
          ] as const) {
            assert.ok(ours !== undefined && theirs !== undefined, `${group.codes} was not computed`);
            const key = `${arithmetic}, ${name}: ${group.label} [${kernelOf(optimized, group)}]`;
            const tally = tallies.get(key) ?? { label: group.label, total: 0, equal: 0, worst: 0, groups: 0 };
            tallies.set(key, tally);
            tally.groups += sample === feeds[0] ? 1 : 0;
            count(tally, ours, theirs, group.codes);
          }
        }
        for (const [output, ours] of Object.entries(floats)) {
          if (ours.dtype !== 'f32') continue;
          const key = `${name}: float output ${output}`;
          apart[key] = Math.max(apart[key] ?? 0, farApart(ours, outputs[output] as Tensor));
        }
      }
    }
  } finally {
    session.dispose();
    integer?.dispose();
    cutModel?.dispose();
    for (const { runtime } of opened) await runtime.close();
  }
  const faults: string[] = [];
  for (const [key, { label, groups: n, total, equal, worst }] of tallies) {
    const line = `${key}: ${n} groups, ${total} codes, ${((100 * equal) / total).toFixed(4)} % equal, at most ${worst} apart`;
    context.diagnostic(line);
    if (equal < (leastEqual[label] ?? usualEqual) * total || worst > 1) faults.push(line);
  }
  for (const [output, difference] of Object.entries(apart)) {
    const line = `${output}: at most ${difference.toExponential(1)} of its largest value apart`;
    context.diagnostic(line);
    if (difference > 1e-4) faults.push(line);
  }
  assert.deepEqual(faults, [], 'groups that the runtime computes otherwise');
}

/** Quantizes on `feeds`, with the default recipe where none is given, then compares codes on the first `runs` of them. */
export async function checkGroups(
  context: TestContext,
  model: Model,
  feeds: readonly Feeds[],
  runs: number,
  recipe: RecipeInput = {},
  leastEqual: Readonly<Record<string, number>> = {},
): Promise<void> {
  const calibration = feeds.map((sample) => ({ feeds: sample }));
  const result = await quantize(model, { recipe, calibration, evaluation: false, allowLarger: true });
  try {
    await compareCodes(context, { model: result.model, bytes: result.bytes, feeds: feeds.slice(0, runs), leastEqual });
  } finally {
    result.dispose();
  }
}
