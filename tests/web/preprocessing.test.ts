import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { choosePreprocessing, imagePresets, type ImagePreprocessing, type Toolkit, type ValueInfo } from '../../web/src/node.js';
import { withToolkit } from './support/toolkit.js';

// Made with Pillow 13 from fixtures/rgb.png.
const golden = JSON.parse(readFileSync(new URL('fixtures/pillow.json', import.meta.url), 'utf8')) as {
  resized: { name: string; width: number; height: number; resampling: 'bilinear' | 'bicubic'; sha256: string }[];
  imagenet: { resize: number; crop: number; mean: number; values: [number, number, number] };
};
const bytes = new Uint8Array(readFileSync(new URL('fixtures/rgb.png', import.meta.url)));
const plain = {
  resize: 0,
  resampling: 'bicubic',
  color: 'rgb',
  layout: 'nhwc',
  scale: 255,
  mean: [0, 0, 0],
  std: [1, 1, 1],
} as const;

async function prepare(toolkit: Toolkit, preprocessing: ImagePreprocessing) {
  return await toolkit.call('preprocess', { sample: { kind: 'image', bytes, name: 'rgb.png', input: 'x', preprocessing } });
}

void test('resizing gives the bytes that Pillow gives, smaller and larger, both filters', async () => {
  await withToolkit(async (toolkit) => {
    for (const { name, width, height, resampling, sha256 } of golden.resized) {
      const { data } = await prepare(toolkit, { ...plain, cropWidth: width, cropHeight: height, resampling });
      assert.equal(
        createHash('sha256')
          .update(Uint8Array.from(data as Float32Array))
          .digest('hex'),
        sha256,
        name,
      );
    }
  });
});

void test('shorter side, centre crop and ImageNet normalization give the tensor that Pillow and NumPy give', async () => {
  await withToolkit(async (toolkit) => {
    const { resize, crop, mean, values } = golden.imagenet;
    const { scale, mean: means, std } = imagePresets.imagenet;
    const { data, shape } = await prepare(toolkit, {
      ...plain,
      resize,
      cropWidth: crop,
      cropHeight: crop,
      layout: 'nchw',
      scale,
      mean: means,
      std,
    });
    assert.deepEqual(shape, [1, 3, crop, crop]);
    const floats = data as Float32Array;
    assert.ok(Math.abs(floats.reduce((a, b) => a + b, 0) / floats.length - mean) < 1e-5);
    const at = [0, crop * crop + 10 * crop + 7, 3 * crop * crop - 1];
    at.forEach((index, i) => assert.ok(Math.abs((floats[index] as number) - (values[i] as number)) < 1e-6));
  });
});

void test('colour order, grey and layout', async () => {
  await withToolkit(async (toolkit) => {
    const whole = { ...plain, cropWidth: 53, cropHeight: 37 };
    const rgb = (await prepare(toolkit, whole)).data as Float32Array;
    const bgr = (await prepare(toolkit, { ...whole, color: 'bgr' })).data as Float32Array;
    assert.deepEqual([...bgr.slice(0, 3)], [...rgb.slice(0, 3)].reverse());
    const planes = (await prepare(toolkit, { ...whole, layout: 'nchw' })).data as Float32Array;
    assert.equal(planes[53 * 37 + 1], rgb[4]);
    const grey = await prepare(toolkit, { ...whole, color: 'grey' });
    assert.deepEqual(grey.shape, [1, 37, 53, 1]);
    // ITU-R 601 as Pillow computes it, in 16 bits.
    const [r, g, b] = rgb.slice(0, 3) as unknown as [number, number, number];
    assert.equal(grey.data[0], (r * 19595 + g * 38470 + b * 7471 + 0x8000) >> 16);
  });
});

const input = (shape: number[]): ValueInfo => ({ name: 'x', dtype: 'f32', shape, dimNames: shape.map(() => '') });

void test('layout and size are read from the graph, mean and std are never guessed silently', () => {
  const guessed = choosePreprocessing([input([1, 3, 224, 224])], {});
  assert.deepEqual(
    [guessed.preprocessing.layout, guessed.preprocessing.cropWidth, guessed.preprocessing.resize],
    ['nchw', 224, 256],
  );
  assert.match(guessed.warnings.join(), /no mean and std were given/);
  const nhwc = choosePreprocessing([input([-1, 96, 128, 1])], { preset: '0_1' });
  assert.deepEqual(
    [
      nhwc.preprocessing.layout,
      nhwc.preprocessing.cropHeight,
      nhwc.preprocessing.cropWidth,
      nhwc.preprocessing.color,
      nhwc.preprocessing.resize,
    ],
    ['nhwc', 96, 128, 'grey', 0],
  );
  assert.deepEqual(nhwc.warnings, []);
  assert.match(choosePreprocessing([input([1, 3, -1, -1])], { preset: '0_1' }).warnings.join(), /leaves its picture size open/);
  const own = choosePreprocessing([input([1, 3, 8, 8])], { mean: [0.5, 0.5, 0.5] });
  assert.deepEqual([own.preprocessing.std, own.preprocessing.scale], [[1, 1, 1], 1]);
  assert.throws(() => choosePreprocessing([input([1, 10])], {}), { code: 'invalid_argument', message: /x f32\[1,10\]/ });
});
