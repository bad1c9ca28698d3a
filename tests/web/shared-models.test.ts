import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { createSession, dequantize, loadModel, quantize, type Model, type QuantMode, type Toolkit } from '../../web/src/node.js';
import { argmax, median, numbers, sqnrDb } from './support/measure.js';
import { openRuntime, runtimeNames, whyNotExact } from './support/onnxruntime.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { type Labelled, pictures, zeroTo255 } from './support/shared-inputs.js';
import { sharedModels } from './support/shared-models.js';
import { useToolkit } from './support/toolkit.js';

const modes: readonly QuantMode[] = ['static', 'dynamic', 'weight_only', 'float16'];
const isThorough = process.env['BITWRIGHT_THOROUGH'] === '1';

const usual = 32;
const leastSame = 0.97;
const most = 90; // where both are float, what the order of sums leaves equal

let toolkit: Toolkit;
useToolkit((opened) => (toolkit = opened));

async function ourRuns(model: Model, samples: readonly Labelled[], output: string): Promise<ArrayLike<number>[]> {
  const session = await createSession(model);
  try {
    const values: ArrayLike<number>[] = [];
    for (const { feeds } of samples) values.push(numbers((await session.run(feeds))[output]));
    return values;
  } finally {
    session.dispose();
  }
}

for (const { path, samples, classes, few = usual, more = {} } of sharedModels) {
  const file = `models/${path}`;
  const title = basename(path, '.onnx');
  void test(`${title}: both runtimes run what we make of it as we mean it`, { skip: whyNotShared(file) }, async (context) => {
    const model = await loadModel(toolkit, new Uint8Array(readFileSync(sharedPath(file))), { name: basename(path) });
    const n = isThorough ? usual : few;
    const calibration = await samples(model, 'calib', Math.min(n, 16));
    const output = classes ?? model.info.outputs.find((row) => row.dtype === 'f32')?.name ?? '';
    const runs = new Map<number, { evaluation: readonly Labelled[]; float: ArrayLike<number>[] }>();
    const floatRuns = async (count: number) => {
      const evaluation = await samples(model, 'eval', count);
      const made = { evaluation, float: await ourRuns(model, evaluation, output) };
      runs.set(count, made);
      return made;
    };
    for (const mode of modes) {
      await context.test(mode, async (step) => {
        const count = more[mode] ?? n;
        const { evaluation, float } = runs.get(count) ?? (await floatRuns(count));
        assert.equal(evaluation.length, count);
        const result = await quantize(model, { recipe: { mode }, calibration, evaluation: false });
        try {
          const simulated = await ourRuns(result.model, evaluation, output);
          const cost = median(simulated.map((ours, i) => sqnrDb(float[i] ?? [], ours)));
          const share = result.report.nodes.filter((row) => row.isQuantized).length;
          const size = `${model.info.bytes} to ${result.sizeBytes} bytes, ${share} of ${result.report.nodes.length} nodes`;
          for (const name of runtimeNames) {
            const runtime = await openRuntime(name, result.bytes, { isWeightOnly: true });
            const near: number[] = [];
            let same = 0;
            for (const [i, { feeds }] of evaluation.entries()) {
              const theirs = numbers((await runtime.run(feeds))[output]);
              near.push(sqnrDb(simulated[i] ?? [], theirs));
              same += argmax(theirs) === argmax(simulated[i] ?? []) ? 1 : 0;
            }
            await runtime.close();
            const fidelity = median(near);
            const figures = `${title} ${mode}, ${size}, ${name}: runtime to simulation ${fidelity.toFixed(1)} dB, float to simulation ${cost.toFixed(1)} dB, top-1 ${same}/${evaluation.length}`;
            step.diagnostic(figures);
            if (whyNotExact(name) !== undefined && (mode === 'static' || mode === 'dynamic')) continue;
            if (classes !== undefined) assert.ok(same >= leastSame * evaluation.length, figures);
            assert.ok(fidelity >= Math.min(cost + 6, most), figures);
          }
        } finally {
          result.dispose();
        }
      });
    }
    model.dispose();
  });
}

const candy = 'models/style/fns_candy_720.onnx';
const leastHalfDb = 60; // eleven bits of each weight

/** Our engine does not run its legacy operators: what we mean is the float model of the dequantized weights, run by onnxruntime. */
void test(
  'fns_candy_720: weights are quantized or halved, and both runtimes run what we make of it as we mean it',
  { skip: whyNotShared(candy) },
  async (context) => {
    const bytes = new Uint8Array(readFileSync(sharedPath(candy)));
    const model = await loadModel(toolkit, bytes, { name: basename(candy) });
    const pixels = { input: 'inputImage', pixels: zeroTo255, height: 720, width: 720, resize: 720 } as const;
    const evaluation = await pictures(model, 'eval', isThorough ? usual : 1, pixels);
    for (const mode of ['static', 'dynamic'] as const) {
      const refused = quantize(model, { recipe: { mode }, calibration: evaluation, evaluation: false });
      await assert.rejects(refused, { name: 'QuantError', code: 'unsupported', message: /'scalerPreprocessor' \(ImageScaler\)/ });
    }
    const quantized = await quantize(model, { recipe: 'weight_only', evaluation: false });
    const halved = await quantize(model, { recipe: 'float16', evaluation: false });
    const dequantized = await dequantize(quantized.model);
    try {
      for (const name of runtimeNames) {
        const outputsOf = async (file: Uint8Array): Promise<ArrayLike<number>[]> => {
          const runtime = await openRuntime(name, file, { isWeightOnly: true });
          const values: ArrayLike<number>[] = [];
          for (const { feeds } of evaluation) values.push(numbers((await runtime.run(feeds))['outputImage']));
          await runtime.close();
          return values;
        };
        const float = await outputsOf(bytes);
        const meant = await outputsOf(dequantized.bytes);
        const medianDb = (from: readonly ArrayLike<number>[], to: readonly ArrayLike<number>[]): number =>
          median(from.map((values, i) => sqnrDb(values, to[i] ?? [])));
        const cost = medianDb(float, meant);
        const fidelity = medianDb(meant, await outputsOf(quantized.bytes));
        const halfCost = medianDb(float, await outputsOf(halved.bytes));
        const figures = `${name}: ${bytes.length} to ${quantized.sizeBytes} bytes, quantized to dequantized ${fidelity.toFixed(1)} dB, float to dequantized ${cost.toFixed(1)} dB; in halves ${halved.sizeBytes} bytes, ${halfCost.toFixed(1)} dB`;
        context.diagnostic(figures);
        assert.ok(fidelity >= Math.min(cost + 6, most), figures);
        assert.ok(cost >= 30, figures);
        assert.ok(halfCost >= leastHalfDb, figures);
        assert.ok(quantized.sizeBytes < 0.3 * bytes.length && halved.sizeBytes < 0.6 * bytes.length, figures);
      }
    } finally {
      for (const one of [quantized, halved, dequantized]) one.dispose();
      model.dispose();
    }
  },
);
