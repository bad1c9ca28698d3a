import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { createSession, loadModel, quantize, type Model } from '../../web/src/node.js';
import { labelledModels } from './support/labelled-models.js';
import { argmax, numbers } from './support/measure.js';
import { imagenet, magikaFiles, pictures, type Labelled } from './support/shared-inputs.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { withToolkit } from './support/toolkit.js';

/** Answers that may be lost net, and the least share of equal answers, over all folds. */
const bars: Readonly<Record<string, { readonly mostLost: number; readonly leastAgreement: number }>> = {
  'mobilenet_v2_1.0_224.onnx': { mostLost: 3, leastAgreement: 0.95 },
  'squeezenet1_1.onnx': { mostLost: 3, leastAgreement: 0.95 },
  'mnist_cntk.onnx': { mostLost: 10, leastAgreement: 0.99 },
  'mlperf_resnet8_cifar10.onnx': { mostLost: 5, leastAgreement: 0.95 },
  'mlperf_kws_dscnn.onnx': { mostLost: 5, leastAgreement: 0.95 },
};

for (const { path, folds, floatCount } of labelledModels) {
  const file = `models/${path}`;
  const bar = bars[basename(path)];
  assert.ok(bar !== undefined, path);
  const title = `${basename(path)}: static int8 loses at most ${bar.mostLost} answers`;
  void test(title, { skip: whyNotShared(file) }, async (context) => {
    await withToolkit(async (toolkit) => {
      const model = await loadModel(toolkit, new Uint8Array(readFileSync(sharedPath(file))), { name: basename(path) });
      const sum = { float: 0, quantized: 0, total: 0, same: 0 };
      for (const { calibration, evaluation } of folds) {
        const result = await quantize(model, { calibration: await calibration(model), evaluation: await evaluation(model) });
        const { accuracy, outputs } = result.report.comparison ?? {};
        const agreement = outputs?.[0]?.top1Agreement;
        assert.ok(accuracy != null && agreement != null);
        assert.equal(accuracy.lost, accuracy.reference.count - accuracy.quantized.count);
        sum.float += accuracy.reference.count;
        sum.quantized += accuracy.quantized.count;
        sum.total += accuracy.reference.total;
        sum.same += agreement.count;
        result.dispose();
      }
      const figures = `float ${sum.float}, static int8 ${sum.quantized} of ${sum.total}, same top-1 ${sum.same}`;
      context.diagnostic(figures);
      assert.ok(Math.abs(sum.float - floatCount) <= 1, `${figures}; the manifest has ${floatCount}`);
      assert.ok(sum.float - sum.quantized <= bar.mostLost, figures);
      assert.ok(sum.same >= bar.leastAgreement * sum.total, figures);
      if (path.includes('mobilenet')) {
        const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
        assert.ok(readme.includes(`| top-1 | ${sum.float} of ${sum.total} | ${sum.quantized} of ${sum.total} (`), figures);
        assert.ok(readme.includes(`| same top-1 as float | | ${sum.same} of ${sum.total} |`), figures);
      }
      model.dispose();
    });
  });
}

/** What the manifest says of models that are not quantized here, in both arithmetics. */
async function rightAnswers(
  path: string,
  samples: (model: Model) => Promise<Labelled[]> | Labelled[],
): Promise<Record<string, number>> {
  return await withToolkit(async (toolkit) => {
    const model = await loadModel(toolkit, new Uint8Array(readFileSync(sharedPath(path))));
    const list = await samples(model);
    const right: Record<string, number> = {};
    for (const arithmetic of ['simulated', 'fast'] as const) {
      const session = await createSession(model, { arithmetic });
      right[arithmetic] = 0;
      for (const { feeds, label } of list) {
        const scores = numbers(Object.values(await session.run(feeds))[0]);
        right[arithmetic] += argmax(scores) === label ? 1 : 0;
      }
      session.dispose();
    }
    model.dispose();
    return right;
  });
}

const magika = 'models/text/magika_standard_v3_3.onnx';
void test('magika_standard_v3_3: all 38 files are told right', { skip: whyNotShared(magika, 'data/magika') }, async () => {
  assert.deepEqual(await rightAnswers(magika, magikaFiles), { simulated: 38, fast: 38 });
});

const quantized = 'models/classification/mobilenet_v2_qdq_244.onnx';
void test(
  "mobilenet_v2_qdq_244: answers of somebody else's int8 model are right as often as the manifest says",
  { skip: whyNotShared(quantized) },
  async (context) => {
    const options = { input: 'image', pixels: imagenet, height: 244, width: 244, resize: 256 } as const;
    const right = await rightAnswers(quantized, (model) => pictures(model, 'eval', 300, options));
    context.diagnostic(JSON.stringify(right));
    for (const count of Object.values(right)) assert.ok(Math.abs(count - 246) <= 1, JSON.stringify(right));
  },
);
