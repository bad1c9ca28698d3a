import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { loadModel, quantize, type Model } from '../../web/src/node.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { cifar, imagenet, keywords, type Labelled, minus1To1, mnist, pictures } from './support/shared-inputs.js';
import { withToolkit } from './support/toolkit.js';

interface Bar {
  readonly path: string;
  readonly calibration: (model: Model) => Promise<Labelled[]> | Labelled[];
  readonly evaluation: (model: Model) => Promise<Labelled[]> | Labelled[];
  /** Right answers of the float model, as the manifest has them. */
  readonly floatCount: number;
  readonly mostLost: number;
  readonly leastAgreement: number;
}

const mobilenet = { input: 'input', pixels: minus1To1, height: 224, width: 224, resize: 256, labelOffset: 1 } as const;
const squeezenet = { input: 'data', pixels: imagenet, height: 224, width: 224, resize: 256 } as const;
const bars: readonly Bar[] = [
  {
    path: 'classification/mobilenet_v2_1.0_224.onnx',
    calibration: (model) => pictures(model, 'calib', 32, mobilenet),
    evaluation: (model) => pictures(model, 'eval', 300, mobilenet),
    floatCount: 264,
    mostLost: 3,
    leastAgreement: 0.95,
  },
  {
    path: 'classification/squeezenet1_1.onnx',
    calibration: (model) => pictures(model, 'calib', 32, squeezenet),
    evaluation: (model) => pictures(model, 'eval', 300, squeezenet),
    floatCount: 188,
    mostLost: 3,
    leastAgreement: 0.95,
  },
  // These have no calibration set of their own: a part of the data is taken, of which labels are not looked at.
  {
    path: 'classification/mnist_cntk.onnx',
    calibration: () => mnist(0, 100),
    evaluation: () => mnist(0, 10_000),
    floatCount: 9891,
    mostLost: 10,
    leastAgreement: 0.99,
  },
  {
    path: 'classification/mlperf_resnet8_cifar10.onnx',
    calibration: () => cifar(0, 100),
    evaluation: () => cifar(0, 1000),
    floatCount: 751,
    mostLost: 5,
    leastAgreement: 0.95,
  },
  {
    path: 'audio/mlperf_kws_dscnn.onnx',
    calibration: () => keywords(0, 100),
    evaluation: () => keywords(0, 500),
    floatCount: 453,
    mostLost: 5,
    leastAgreement: 0.95,
  },
];

for (const { path, calibration, evaluation, floatCount, mostLost, leastAgreement } of bars) {
  const file = `models/${path}`;
  void test(`${basename(path)}: static int8 loses at most ${mostLost} answers`, { skip: whyNotShared(file) }, async (context) => {
    await withToolkit(async (toolkit) => {
      const model = await loadModel(toolkit, new Uint8Array(readFileSync(sharedPath(file))), { name: basename(path) });
      const result = await quantize(model, { calibration: await calibration(model), evaluation: await evaluation(model) });
      const { accuracy, outputs } = result.report.comparison ?? {};
      const agreement = outputs?.[0]?.top1Agreement;
      assert.ok(accuracy != null && agreement != null);
      const figures = `float ${accuracy.reference.count}, static int8 ${accuracy.quantized.count} of ${accuracy.reference.total}, same top-1 ${agreement.count}`;
      context.diagnostic(figures);
      assert.ok(Math.abs(accuracy.reference.count - floatCount) <= 1, `${figures}; the manifest has ${floatCount}`);
      assert.ok(accuracy.lost <= mostLost, figures);
      assert.ok(agreement.share >= leastAgreement, figures);
      result.dispose();
      model.dispose();
    });
  });
}
