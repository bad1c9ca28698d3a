import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { after, before, test } from 'node:test';
import {
  createSession,
  loadModel,
  openToolkit,
  quantize,
  type Model,
  type QuantMode,
  type Tensor,
  type Toolkit,
} from '../../web/src/node.js';
import { argmax, median, numbers, sqnrDb } from './support/measure.js';
import { openRuntime, runtimeNames, type RuntimeName, whyNotExact } from './support/onnxruntime.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import {
  cifar,
  imagenet,
  keywords,
  type Labelled,
  minus1To1,
  mnist,
  numbersFor,
  pictures,
  zeroTo1,
} from './support/shared-inputs.js';

interface Case {
  readonly path: string;
  readonly samples: (model: Model, folder: 'calib' | 'eval', count: number) => Promise<Labelled[]> | Labelled[];
  /** The output whose largest value is the answer. */
  readonly classes?: string;
  /** Samples to compare on: 32, fewer where one run takes long (BITWRIGHT_THOROUGH=1 takes 32 everywhere). */
  readonly count?: number;
}

const byNumbers = (path: string, more: Partial<Case> = {}): Case => ({
  path,
  samples: (_, folder, count) => numbersFor(basename(path), 2 * count).filter((_, i) => i % 2 === (folder === 'calib' ? 0 : 1)),
  ...more,
});
const half = { scale: 255, mean: [127.5, 127.5, 127.5], std: [128, 128, 128] } as const;

const cases: readonly Case[] = [
  {
    path: 'classification/mobilenet_v2_1.0_224.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input', pixels: minus1To1, height: 224, width: 224, resize: 256, labelOffset: 1 }),
    classes: 'logits',
  },
  {
    path: 'classification/squeezenet1_1.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'data', pixels: imagenet, height: 224, width: 224, resize: 256 }),
    classes: 'logits',
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
    count: 8,
  },
  {
    path: 'detection/fastestdet.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input.1', pixels: zeroTo1, height: 352, width: 352, resize: 0, color: 'bgr' }),
    count: 8,
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
    count: 4,
  },
  {
    path: 'segmentation/deeplabv3_mnv2_pascal_513.onnx',
    samples: (model, folder, count) =>
      pictures(model, folder, count, { input: 'input', pixels: minus1To1, height: 513, width: 513, resize: 513 }),
    count: 1,
  },
  byNumbers('audio/silero_vad.onnx'),
  byNumbers('audio/silero_vad_16k_op15.onnx'),
  byNumbers('audio/oww_melspectrogram.onnx', { count: 8 }),
  byNumbers('audio/oww_embedding.onnx'),
  byNumbers('audio/oww_alexa_v0.1.onnx'),
  byNumbers('audio/dtln_1.onnx'),
  byNumbers('audio/dtln_2.onnx'),
  byNumbers('audio/basic_pitch_nmp.onnx', { count: 4 }),
  byNumbers('text/magika_standard_v3_3.onnx', {
    count: 8,
    classes: 'target_label',
  }),
  byNumbers('text/stories260K.onnx'),
  byNumbers('text/tiny_bert_random.onnx'),
];
const modes: readonly QuantMode[] = ['static', 'dynamic', 'weight_only', 'float16'];
const isThorough = process.env['BITWRIGHT_THOROUGH'] === '1';

interface Measured {
  readonly near: number;
  readonly theirCost: number;
  readonly same: number;
}

let toolkit: Toolkit;
before(async () => {
  toolkit = await openToolkit();
});
after(async () => {
  assert.equal(await toolkit.liveHandles(), 0);
  await toolkit.dispose();
});

async function ourRuns(model: Model, samples: readonly Labelled[]): Promise<Readonly<Record<string, Tensor>>[]> {
  const session = await createSession(model);
  try {
    const runs: Readonly<Record<string, Tensor>>[] = [];
    for (const { feeds } of samples) runs.push(await session.run(feeds));
    return runs;
  } finally {
    session.dispose();
  }
}

for (const { path, samples, classes, count = 32 } of cases) {
  const file = `models/${path}`;
  const title = basename(path, '.onnx');
  void test(`${title}: both runtimes run what we make of it as we mean it`, { skip: whyNotShared(file) }, async (context) => {
    const model = await loadModel(toolkit, new Uint8Array(readFileSync(sharedPath(file))), { name: basename(path) });
    const n = isThorough ? 32 : count;
    const calibration = await samples(model, 'calib', Math.min(n, 16));
    const evaluation = await samples(model, 'eval', n);
    const float = await ourRuns(model, evaluation);
    const output = classes ?? model.info.outputs.find((row) => row.dtype === 'f32')?.name ?? '';
    const floatValues = float.map((run) => numbers(run[output]));
    for (const mode of modes) {
      await context.test(mode, async (step) => {
        const result = await quantize(model, { recipe: { mode }, calibration, evaluation: false });
        try {
          const simulated = (await ourRuns(result.model, evaluation)).map((run) => numbers(run[output]));
          const cost = median(simulated.map((ours, i) => sqnrDb(floatValues[i] ?? [], ours)));
          const share = result.report.nodes.filter((row) => row.isQuantized).length;
          // Mode static too, where calibration sees no layer.
          const storesOnly = result.report.nodes.every((row) => !row.isQuantized || row.mode.startsWith('weights only'));
          const size = `${model.info.bytes} to ${result.sizeBytes} bytes, ${share} of ${result.report.nodes.length} nodes`;
          const measured = async (name: RuntimeName): Promise<Measured> => {
            const runtime = await openRuntime(name, result.bytes);
            const near: number[] = [];
            const theirCosts: number[] = [];
            let same = 0;
            for (const [i, { feeds }] of evaluation.entries()) {
              const theirs = numbers((await runtime.run(feeds))[output]);
              near.push(sqnrDb(simulated[i] ?? [], theirs));
              theirCosts.push(sqnrDb(floatValues[i] ?? [], theirs));
              same += argmax(theirs) === argmax(simulated[i] ?? []) ? 1 : 0;
            }
            await runtime.close();
            return { near: median(near), theirCost: median(theirCosts), same };
          };
          for (const name of runtimeNames) {
            const { near, theirCost, same } = await measured(name);
            const figures = `${title} ${mode}, ${size}, ${name}: runtime to simulation ${near.toFixed(1)} dB, float to simulation ${cost.toFixed(1)} dB, top-1 ${same}/${evaluation.length}`;
            step.diagnostic(figures);
            if (whyNotExact(name) !== undefined && (mode === 'static' || mode === 'dynamic')) continue;
            if (classes !== undefined) assert.ok(same >= Math.floor(0.97 * evaluation.length), figures);
            const isNear = near >= Math.min(cost + 6, 90);
            // It is the runtime's choice how precise it computes on integers for weights alone (onnxruntime-node quantizes
            // activations then): it may differ from us, but lose no more than we do.
            const isAsGood = theirCost >= Math.min(cost, 60) - 6;
            assert.ok(isNear || (storesOnly && isAsGood), figures);
          }
        } finally {
          result.dispose();
        }
      });
    }
    model.dispose();
  });
}
