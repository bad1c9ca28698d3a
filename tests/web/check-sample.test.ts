import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  calibrate,
  compare,
  createSession,
  quantize,
  tryScheme,
  writeNpy,
  type Feeds,
  type ImageSample,
  type Runner,
  type Sample,
  type Tensor,
} from '../../web/src/node.js';
import { loadExample } from './support/example.js';
import { withToolkit } from './support/toolkit.js';

const shape = [1, 3, 64, 64];
const data = new Float32Array(3 * 64 * 64);
const good: Tensor = { dtype: 'f32', shape, data };

/** What callers without types give for a tensor, and what the error says. */
const notTensors: readonly (readonly [unknown, RegExp])[] = [
  [{ shape, data }, /dtype is missing/],
  [{ dtype: 1, shape, data }, /dtype is no name/],
  [{ dtype: 'f32', data }, /shape is missing/],
  [{ dtype: 'f32', shape: '1x3x64x64', data }, /shape is no list/],
  [{ dtype: 'f32', shape: shape.map(BigInt), data }, /shape is no list/],
  [{ dtype: 'f32', shape }, /data is missing/],
  [{ dtype: 'f32', shape, data: Array.from(data) }, /data is no typed array/],
  [data, /dtype is missing/],
  [undefined, /is no tensor/],
  [null, /is no tensor/],
  ['f32', /is no tensor/],
];

/** The error has the code of bad arguments, names the tensor and shows how one looks. */
const refusal = (name: string, finding: RegExp) => (error: { code?: string; message: string; subject?: string }) => {
  assert.equal(error.code, 'invalid_argument', error.message);
  assert.match(error.message, finding);
  assert.match(error.message, new RegExp(`'${name}'`));
  assert.match(error.message, /dtype: 'f32', shape: \[2\]/);
  assert.equal(error.subject, name);
  return true;
};

for (const runIn of ['caller', 'worker'] as const)
  void test(`whatever takes tensors names the one that is none, and lives on (run in ${runIn})`, async () => {
    await withToolkit(
      async (toolkit) => {
        const model = await loadExample(toolkit);
        const session = await createSession(model);
        for (const [tensor, finding] of notTensors) {
          const feeds = { image: tensor } as Feeds;
          const samples = [{ feeds: { image: good } }, { feeds }];
          const refused = refusal('image', finding);
          await assert.rejects(session.run(feeds), refused);
          await assert.rejects(session.runObserved(feeds, ['logits']), refused);
          await assert.rejects(calibrate(model, samples), refused);
          await assert.rejects(quantize(model, { calibration: samples }), refused);
          await assert.rejects(quantize(model, { recipe: 'float16', evaluation: samples }), refused);
          await assert.rejects(compare(model, model, samples), refused);
        }
        await session.run({ image: good });
        session.dispose();
        model.dispose();
      },
      { runIn },
    );
  });

void test('what a runner gets and gives is checked too', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const runnerOf = (seen: Readonly<Record<string, unknown>>): Runner => ({
      prepare: () => Promise.resolve(),
      run: () => Promise.resolve(seen as Record<string, Tensor>),
      dispose: () => Promise.resolve(),
    });
    for (const [tensor, finding] of notTensors) {
      const feeds = { image: tensor } as Feeds;
      await assert.rejects(calibrate(model, [{ feeds }], { runner: runnerOf({}) }), refusal('image', finding));
      const runner = runnerOf({ inner: tensor });
      await assert.rejects(calibrate(model, [{ feeds: { image: good } }], { runner }), refusal('inner', finding));
    }
    model.dispose();
  });
});

void test('what is no sample is refused by name of what samples are', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const session = await createSession(model);
    const refused = { code: 'invalid_argument', message: /a sample is \{ feeds \} or \{ image, input, preprocessing \}/ };
    for (const sample of [undefined, 'x.png', {}, { image: good }, { feeds: null }]) {
      await assert.rejects(compare(model, model, [sample as Sample]), refused);
      await assert.rejects(calibrate(model, [sample as Sample]), refused);
    }
    for (const input of [undefined, null, 5, { image: 'x.png', preprocessing: {} }])
      await assert.rejects(session.run(input as unknown as ImageSample), refused);
    session.dispose();
    model.dispose();
  });
});

void test('values to try a scheme on and arrays to write are checked', async () => {
  await withToolkit(async (toolkit) => {
    const values = Array.from(data) as unknown as Float32Array;
    await assert.rejects(tryScheme({ toolkit, values, shape }, { scheme: 'i8' }), {
      code: 'invalid_argument',
      message: /values: data is no typed array/,
    });
  });
  assert.throws(() => writeNpy({ shape, data } as unknown as Tensor), { code: 'invalid_argument', message: /dtype is missing/ });
});
