import { basename } from 'node:path';
import { test } from 'node:test';
import { loadModel, type Feeds, type Model, type Toolkit } from '../../web/src/node.js';
import { exampleFeeds, exampleBytes } from './support/example.js';
import { checkGroups } from './support/per-node.js';
import { cifarPictures, keywordFeatures, mnistDigits, noise, pictures, tokens } from './support/real-samples.js';
import { numbersFor } from './support/shared-inputs.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { useToolkit } from './support/toolkit.js';

interface Subject {
  readonly model: string;
  /** Samples to calibrate with, and of these how many to compare on. */
  readonly counts: readonly [number, number];
  readonly feeds: (model: Model, count: number) => Promise<readonly Feeds[]>;
}

/** A model that takes numbers rather than pictures: the inputs on which whole models are compared. */
const byNumbers = (model: string): Subject => ({
  model,
  counts: [4, 4],
  feeds: (_, count) => Promise.resolve(numbersFor(`${basename(model)}.onnx`, count).map(({ feeds }) => feeds)),
});

const subjects: readonly Subject[] = [
  { model: 'classification/mnist_cntk', counts: [64, 64], feeds: mnistDigits },
  { model: 'classification/mlperf_resnet8_cifar10', counts: [16, 16], feeds: cifarPictures },
  { model: 'audio/mlperf_kws_dscnn', counts: [16, 16], feeds: keywordFeatures },
  {
    model: 'classification/mobilenet_v2_1.0_224',
    counts: [3, 2],
    feeds: pictures('imagenet256/calib', { preset: 'minus1_1', resize: 256 }),
  },
  {
    model: 'classification/squeezenet1_1',
    counts: [3, 2],
    feeds: pictures('imagenet256/calib', { preset: 'imagenet', resize: 256 }),
  },
  {
    model: 'detection/ultraface_rfb_320',
    counts: [2, 2],
    feeds: pictures('faces', { mean: [127, 127, 127], std: [128, 128, 128], resize: 0 }),
  },
  { model: 'detection/fastestdet', counts: [2, 2], feeds: pictures('detection', { preset: '0_1', color: 'bgr', resize: 0 }) },
  {
    model: 'ocr/ppocr_mobile_v2.0_cls',
    counts: [4, 4],
    feeds: pictures('faces', { preset: 'minus1_1', color: 'bgr', resize: 0, crop: [48, 192] }),
  },
  {
    model: 'headpose/fsanet_1x1',
    counts: [4, 4],
    feeds: pictures('faces', { mean: [127.5, 127.5, 127.5], std: [128, 128, 128], color: 'bgr', resize: 0 }),
  },
  { model: 'superres/super_resolution', counts: [2, 2], feeds: noise([1, 1, 224, 224]) },
  { model: 'audio/oww_embedding', counts: [4, 4], feeds: noise([1, 76, 32, 1]) },
  { model: 'audio/basic_pitch_nmp', counts: [2, 1], feeds: noise([1, 43844, 1]) },
  { model: 'audio/oww_alexa_v0.1', counts: [16, 16], feeds: noise([1, 16, 96]) },
  byNumbers('audio/oww_melspectrogram'),
  byNumbers('audio/dtln_1'),
  byNumbers('audio/dtln_2'),
  byNumbers('audio/silero_vad'),
  byNumbers('audio/silero_vad_16k_op15'),
  { model: 'text/stories260K', counts: [4, 4], feeds: tokens([1, 64], 'i64', 512) },
  { model: 'text/tiny_bert_random', counts: [4, 4], feeds: tokens([1, 16], 'i64', 1000) },
  { model: 'text/magika_standard_v3_3', counts: [4, 4], feeds: tokens([1, 2048], 'i32', 256) },
  {
    model: 'segmentation/deeplabv3_mnv2_pascal_513',
    counts: [1, 1],
    feeds: pictures('imagenet256/calib', { preset: 'minus1_1', resize: 0 }),
  },
];

let toolkit: Toolkit;
useToolkit((opened) => (toolkit = opened));

void test('example: each quantized operator gives the codes that onnxruntime gives', async (context) => {
  const model = await loadModel(toolkit, exampleBytes(), { name: 'model.onnx' });
  await checkGroups(context, model, await exampleFeeds(model, 'images', 16), 16);
  model.dispose();
});

for (const { model: path, counts, feeds } of subjects) {
  const file = `models/${path}.onnx`;
  void test(
    `${path}: each quantized operator gives the codes that onnxruntime gives`,
    { skip: whyNotShared(file) },
    async (context) => {
      const model = await loadModel(toolkit, sharedPath(file));
      try {
        await checkGroups(context, model, await feeds(model, counts[0]), counts[1]);
      } finally {
        model.dispose();
      }
    },
  );
}
