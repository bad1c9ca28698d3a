import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test, type TestContext } from 'node:test';
import { createSession, loadModel, openToolkit, quantize, type Feeds, type Model, type Tensor, type Toolkit } from '../../web/src/node.js';
import { cutAtCodes, cutName, groupsOf, nodesOf, type Group } from './support/cut-model.js';
import { exampleFeeds, exampleBytes } from './support/example.js';
import { openRuntime, whyNotExact } from './support/onnxruntime.js';
import { cifarPictures, keywordFeatures, mnistDigits, noise, pictures } from './support/real-samples.js';
import { sharedPath, whyNotShared } from './support/shared.js';

interface Subject {
  readonly model: string;
  /** Samples to calibrate with, and of these how many to compare on. */
  readonly counts: readonly [number, number];
  readonly feeds: (model: Model, count: number) => Promise<readonly Feeds[]>;
}

const subjects: readonly Subject[] = [
  { model: 'classification/mnist_cntk', counts: [64, 64], feeds: mnistDigits },
  { model: 'classification/mlperf_resnet8_cifar10', counts: [16, 16], feeds: cifarPictures },
  { model: 'audio/mlperf_kws_dscnn', counts: [16, 16], feeds: keywordFeatures },
  { model: 'classification/mobilenet_v2_1.0_224', counts: [3, 2], feeds: pictures('imagenet256/calib', { preset: 'minus1_1', resize: 256 }) },
  { model: 'classification/squeezenet1_1', counts: [3, 2], feeds: pictures('imagenet256/calib', { preset: 'imagenet', resize: 256 }) },
  { model: 'detection/ultraface_rfb_320', counts: [2, 2], feeds: pictures('faces', { mean: [127, 127, 127], std: [128, 128, 128], resize: 0 }) },
  { model: 'detection/fastestdet', counts: [2, 2], feeds: pictures('detection', { preset: '0_1', color: 'bgr', resize: 0 }) },
  { model: 'ocr/ppocr_mobile_v2.0_cls', counts: [4, 4], feeds: pictures('faces', { preset: 'minus1_1', color: 'bgr', resize: 0, crop: [48, 192] }) },
  { model: 'headpose/fsanet_1x1', counts: [4, 4], feeds: pictures('faces', { mean: [127.5, 127.5, 127.5], std: [128, 128, 128], color: 'bgr', resize: 0 }) },
  { model: 'superres/super_resolution', counts: [2, 2], feeds: noise([1, 1, 224, 224]) },
  { model: 'audio/oww_embedding', counts: [4, 4], feeds: noise([1, 76, 32, 1]) },
  { model: 'segmentation/deeplabv3_mnv2_pascal_513', counts: [1, 1], feeds: pictures('imagenet256/calib', { preset: 'minus1_1', resize: 0 }) },
];

let toolkit: Toolkit;
let scratch = '';

before(async () => {
  toolkit = await openToolkit();
  scratch = mkdtempSync(join(tmpdir(), 'bitwright-per-node-'));
});
after(async () => {
  rmSync(scratch, { recursive: true, force: true });
  assert.equal(await toolkit.liveHandles(), 0, 'live handles at the end');
  await toolkit.dispose();
});

interface Tally {
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
    if (node.opType !== 'Transpose' || label.includes('Transpose')) return node.opType === 'QuantizeLinear' ? 'float' : node.opType;
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

async function check(context: TestContext, model: Model, feeds: readonly Feeds[], runs: number): Promise<void> {
  const calibration = feeds.map((sample) => ({ feeds: sample }));
  const result = await quantize(model, { calibration, evaluation: false, allowLarger: true });
  const groups = groupsOf(result.bytes);
  const names = groups.map(({ codes }) => codes);
  const session = await createSession(result.model);
  const name = whyNotExact('onnxruntime-node') === undefined ? 'onnxruntime-node' : 'onnxruntime-web';
  const tallies = new Map<string, Tally>();
  const apart: Record<string, number> = {};
  let runtime: Awaited<ReturnType<typeof openRuntime>> | undefined;
  let optimized: ReturnType<typeof nodesOf> = [];
  try {
    for (const sample of feeds.slice(0, runs)) {
      const { outputs: floats, observed } = await session.runObserved(sample, names);
      if (runtime === undefined) {
        const optimizedPath = join(scratch, 'optimized.onnx');
        runtime = await openRuntime(name, cutAtCodes(result.bytes, observed), name === 'onnxruntime-node' ? { optimizedPath } : {});
        if (name === 'onnxruntime-node') optimized = nodesOf(new Uint8Array(readFileSync(optimizedPath)));
      }
      const outputs = await runtime.run({ ...sample, ...observed });
      for (const group of groups) {
        const [ours, theirs] = [observed[group.codes], outputs[cutName(group.codes)]];
        assert.ok(ours !== undefined && theirs !== undefined, `${group.codes} was not computed`);
        const key = `${group.label} [${kernelOf(optimized, group)}]`;
        const tally = tallies.get(key) ?? { total: 0, equal: 0, worst: 0, groups: 0 };
        tallies.set(key, tally);
        tally.groups += sample === feeds[0] ? 1 : 0;
        count(tally, ours, theirs, group.codes);
      }
      for (const [output, ours] of Object.entries(floats)) {
        if (ours.dtype === 'f32') apart[output] = Math.max(apart[output] ?? 0, farApart(ours, outputs[output] as Tensor));
      }
    }
  } finally {
    session.dispose();
    result.dispose();
    await runtime?.close();
  }
  const faults: string[] = [];
  for (const [key, { groups: n, total, equal, worst }] of tallies) {
    const line = `${key}: ${n} groups, ${total} codes, ${((100 * equal) / total).toFixed(4)} % equal, at most ${worst} apart`;
    context.diagnostic(line);
    if (equal < 0.999 * total || worst > 1) faults.push(line);
  }
  for (const [output, difference] of Object.entries(apart)) {
    const line = `float output ${output}: at most ${difference.toExponential(1)} of its largest value apart`;
    context.diagnostic(line);
    if (difference > 1e-4) faults.push(line);
  }
  assert.deepEqual(faults, [], 'groups that the runtime computes otherwise');
}

void test('example: each quantized operator gives the codes that onnxruntime gives', async (context) => {
  const model = await loadModel(toolkit, exampleBytes(), { name: 'model.onnx' });
  await check(context, model, await exampleFeeds(model, 'images', 16), 16);
  model.dispose();
});

for (const { model: path, counts, feeds } of subjects) {
  const file = `models/${path}.onnx`;
  void test(`${path}: each quantized operator gives the codes that onnxruntime gives`, { skip: whyNotShared(file) }, async (context) => {
    const model = await loadModel(toolkit, sharedPath(file));
    try {
      await check(context, model, await feeds(model, counts[0]), counts[1]);
    } finally {
      model.dispose();
    }
  });
}
