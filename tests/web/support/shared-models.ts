/** The ONNX models of ../shared/models that are run, and inputs for each: real ones where ../shared/data has some. */
import { basename } from 'node:path';
import type { Model, QuantMode } from '../../../web/src/node.js';
import { cifar, imagenet, keywords, type Labelled, minus1To1, mnist, numbersFor, pictures, zeroTo1 } from './shared-inputs.js';

export interface SharedModel {
  readonly path: string;
  readonly samples: (model: Model, folder: 'calib' | 'eval', count: number) => Promise<Labelled[]> | Labelled[];
  /** The output whose largest value is the answer. */
  readonly classes?: string;
  /** Samples to compare on where 32 take long (BITWRIGHT_THOROUGH=1 takes 32 everywhere). */
  readonly few?: number;
  /** Samples for modes whose answers are close to each other: 97 % of 32 would allow none to differ. */
  readonly more?: Partial<Readonly<Record<QuantMode, number>>>;
  /** onnxruntime must not rewrite the float model: it refuses what it makes of it. */
  readonly isVerbatim?: boolean;
}

const byNumbers = (path: string, more: Partial<SharedModel> = {}): SharedModel => ({
  path,
  samples: (_, folder, count) => numbersFor(basename(path), 2 * count).filter((_, i) => i % 2 === (folder === 'calib' ? 0 : 1)),
  ...more,
});
const half = { scale: 255, mean: [127.5, 127.5, 127.5], std: [128, 128, 128] } as const;

export const sharedModels: readonly SharedModel[] = [
  {
    path: 'classification/mobilenet_v2_1.0_224.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input', pixels: minus1To1, height: 224, width: 224, resize: 256, labelOffset: 1 }),
    classes: 'logits',
    more: { static: 100, dynamic: 100 },
  },
  {
    path: 'classification/squeezenet1_1.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'data', pixels: imagenet, height: 224, width: 224, resize: 256 }),
    classes: 'logits',
  },
  {
    path: 'classification/mobilenet_v2_qdq_244.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'image', pixels: imagenet, height: 244, width: 244, resize: 256 }),
    classes: 'scores',
    isVerbatim: true,
  },
  {
    path: 'classification/mnist_cntk.onnx',
    samples: (_, folder, count) => mnist(folder === 'calib' ? 5000 : 0, count),
    classes: 'Plus214_Output_0',
  },
  {
    path: 'classification/mlperf_resnet8_cifar10.onnx',
    samples: (_, folder, count) => cifar(folder === 'calib' ? 500 : 0, count),
    classes: 'output',
  },
  {
    path: 'audio/mlperf_kws_dscnn.onnx',
    samples: (_, folder, count) => keywords(folder === 'calib' ? 250 : 0, count),
    classes: 'output',
  },
  {
    path: 'detection/ultraface_rfb_320.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, {
        input: 'input',
        pixels: { ...half, mean: [127, 127, 127] },
        height: 240,
        width: 320,
        resize: 0,
      }),
  },
  {
    path: 'detection/fastestdet.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input.1', pixels: zeroTo1, height: 352, width: 352, resize: 0, color: 'bgr' }),
  },
  {
    path: 'headpose/fsanet_1x1.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input', pixels: half, height: 64, width: 64, resize: 0, color: 'bgr' }),
  },
  {
    path: 'ocr/ppocr_mobile_v2.0_cls.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'x', pixels: minus1To1, height: 48, width: 192, resize: 0, color: 'bgr' }),
  },
  {
    path: 'superres/super_resolution.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input', pixels: zeroTo1, height: 224, width: 224, resize: 224, color: 'grey' }),
    few: 4,
  },
  {
    path: 'segmentation/deeplabv3_mnv2_pascal_513.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input', pixels: minus1To1, height: 513, width: 513, resize: 513 }),
    few: 1,
  },
  byNumbers('audio/silero_vad.onnx'),
  byNumbers('audio/silero_vad_16k_op15.onnx'),
  byNumbers('audio/oww_melspectrogram.onnx'),
  byNumbers('audio/oww_embedding.onnx'),
  byNumbers('audio/oww_alexa_v0.1.onnx'),
  byNumbers('audio/dtln_1.onnx'),
  byNumbers('audio/dtln_2.onnx'),
  byNumbers('audio/basic_pitch_nmp.onnx', { few: 4 }),
  {
    path: 'text/magika_standard_v3_3.onnx',
    // 38 real files: 32 to compare on, the rest to calibrate with.
    samples: (_, folder, count) => {
      const files = numbersFor('magika_standard_v3_3.onnx', 38);
      return folder === 'calib' ? files.slice(32) : files.slice(0, count);
    },
    classes: 'target_label',
  },
  byNumbers('text/stories260K.onnx'),
  byNumbers('text/tiny_bert_random.onnx'),
];
