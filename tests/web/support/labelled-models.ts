/** Models of ../shared with labelled data: what calibrates them and what they are judged by. No sample is in both. */
import type { Model } from '../../../web/src/node.js';
import { cifar, imagenet, keywords, type Labelled, minus1To1, mnist, pictures } from './shared-inputs.js';

export interface Fold {
  readonly calibration: (model: Model) => Promise<Labelled[]> | Labelled[];
  readonly evaluation: (model: Model) => Promise<Labelled[]> | Labelled[];
}

export interface LabelledModel {
  readonly path: string;
  readonly folds: readonly Fold[];
  /** Right answers of the float model over the evaluation samples of all folds, as the manifest has them. */
  readonly floatCount: number;
}

const mobilenet = { input: 'input', pixels: minus1To1, height: 224, width: 224, resize: 256, labelOffset: 1 } as const;
const squeezenet = { input: 'data', pixels: imagenet, height: 224, width: 224, resize: 256 } as const;

/** Models without calibration data of their own: each half is judged by a model that 100 samples of the other half calibrated. */
const halves = (samples: (from: number, count: number) => Labelled[], total: number): readonly Fold[] => {
  const half = total / 2;
  return [
    { calibration: () => samples(half, 100), evaluation: () => samples(0, half) },
    { calibration: () => samples(0, 100), evaluation: () => samples(half, half) },
  ];
};

export const labelledModels: readonly LabelledModel[] = [
  {
    path: 'classification/mobilenet_v2_1.0_224.onnx',
    folds: [
      {
        calibration: (model) => pictures(model, 'calib', 32, mobilenet),
        evaluation: (model) => pictures(model, 'eval', 300, mobilenet),
      },
    ],
    floatCount: 264,
  },
  {
    path: 'classification/squeezenet1_1.onnx',
    folds: [
      {
        calibration: (model) => pictures(model, 'calib', 32, squeezenet),
        evaluation: (model) => pictures(model, 'eval', 300, squeezenet),
      },
    ],
    floatCount: 188,
  },
  { path: 'classification/mnist_cntk.onnx', folds: halves(mnist, 10_000), floatCount: 9891 },
  { path: 'classification/mlperf_resnet8_cifar10.onnx', folds: halves(cifar, 1000), floatCount: 751 },
  { path: 'audio/mlperf_kws_dscnn.onnx', folds: halves(keywords, 500), floatCount: 453 },
];
