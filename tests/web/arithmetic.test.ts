import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { test } from 'node:test';
import { createSession, loadModel, quantize, QuantError, type Arithmetic, type Model, type Tensor } from '../../web/src/node.js';
import { exampleBytes, exampleFeeds } from './support/example.js';
import { labelledModels } from './support/labelled-models.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { withToolkit } from './support/toolkit.js';

const arithmetics = ['fast', 'integer_only'] as const satisfies readonly Arithmetic[];

async function quantizedExample(work: (model: Model, feeds: Awaited<ReturnType<typeof exampleFeeds>>) => Promise<void>) {
  await withToolkit(async (toolkit) => {
    const model = await loadModel(toolkit, exampleBytes(), { name: 'model.onnx' });
    const feeds = await exampleFeeds(model, 'images', 4);
    const result = await quantize(model, { calibration: feeds.map((sample) => ({ feeds: sample })), evaluation: false });
    await work(result.model, feeds);
    result.dispose();
    model.dispose();
  });
}

void test('a session says what it runs on, and explains every step', async () => {
  await quantizedExample(async (model, feeds) => {
    const session = await createSession(model, { profile: true });
    for (let i = 0; i < 2; ++i) await session.run(feeds[0] ?? {});
    assert.equal(session.info.arithmetic, 'fast');
    assert.equal(session.info.integer, true);
    assert.equal(session.info.threads, 1);
    assert.match(session.info.reason, /threads: 1 because/);
    const rows = await session.explain();
    for (const row of rows.filter(({ opType }) => opType === 'Conv')) {
      assert.equal(row.integer, true, row.node);
      assert.equal(row.layout, 'channels_last');
      assert.match(row.kernel, /_u8_i8/);
      assert.match(row.nodes, /\(Conv\).*\(QuantizeLinear\)/);
      assert.equal(row.runs, 2);
    }
    for (const row of rows.filter(({ integer }) => !integer)) assert.notEqual(row.reason, '', row.node);
    session.dispose();
    const simulated = await createSession(model, { arithmetic: 'simulated' });
    assert.equal(simulated.info.integer, false);
    simulated.dispose();
  });
});

void test('words that are no arithmetic and no kernels are refused by name', async () => {
  await quantizedExample(async (model) => {
    for (const options of [{ arithmetic: 'exact' }, { kernels: 'avx' }] as const)
      await assert.rejects(
        createSession(model, options as unknown as Parameters<typeof createSession>[1]),
        (error: unknown) => error instanceof QuantError && error.code === 'invalid_argument' && / is needed$/.test(error.message),
      );
  });
});

void test('all kernels give the same bits, in both arithmetics', async () => {
  await quantizedExample(async (model, feeds) => {
    for (const arithmetic of arithmetics) {
      const results: string[] = [];
      for (const kernels of ['reference', 'auto'] as const) {
        const session = await createSession(model, { arithmetic, kernels });
        const outputs: string[] = [];
        for (const sample of feeds)
          for (const tensor of Object.values(await session.run(sample))) outputs.push(tensor.data.join());
        results.push(outputs.join(';'));
        session.dispose();
      }
      assert.equal(results[0], results[1], arithmetic);
    }
  });
});

void test('results are written into the arrays that are given, where they fit', async () => {
  await quantizedExample(async (model, feeds) => {
    const session = await createSession(model);
    const [sample] = feeds;
    assert.ok(sample !== undefined);
    const first = await session.run(sample);
    const [name, made] = Object.entries(first)[0] as [string, Tensor];
    const own = new Float32Array(made.data.length);
    for (let i = 0; i < 3; ++i) {
      own.fill(NaN);
      const again = await session.run(sample, { outputs: { [name]: own } });
      assert.equal(again[name]?.data, own);
      assert.deepEqual(own, made.data);
    }
    const short = new Float32Array(1);
    const other = await session.run(sample, { outputs: { [name]: short } });
    assert.notEqual(other[name]?.data, short);
    assert.deepEqual(other[name]?.data, made.data);
    session.dispose();
  });
});

const isThorough = process.env['BITWRIGHT_THOROUGH'] === '1';

function top1(outputs: Readonly<Record<string, Tensor>>): number {
  const data = Object.values(outputs)[0]?.data as Float32Array;
  return data.indexOf(Math.max(...data));
}

for (const { path, folds } of labelledModels) {
  const file = `models/${path}`;
  void test(
    `${basename(path)}: integer runs are right as often as the simulated one`,
    { skip: whyNotShared(file) },
    async (context) => {
      await withToolkit(async (toolkit) => {
        const model = await loadModel(toolkit, new Uint8Array(readFileSync(sharedPath(file))), { name: basename(path) });
        const [fold] = folds;
        assert.ok(fold !== undefined);
        const result = await quantize(model, { calibration: await fold.calibration(model), evaluation: false });
        const all = await fold.evaluation(model);
        const samples = isThorough ? all : all.slice(0, folds.length === 1 ? 60 : 500);
        const answers = new Map<Arithmetic, number[]>();
        for (const arithmetic of ['simulated', ...arithmetics] as const) {
          const session = await createSession(result.model, { arithmetic });
          const own: number[] = [];
          for (const sample of samples) own.push(top1(await session.run('feeds' in sample ? sample.feeds : sample)));
          answers.set(arithmetic, own);
          session.dispose();
        }
        const right = (own: readonly number[]) => own.filter((answer, i) => answer === samples[i]?.label).length;
        const simulated = answers.get('simulated') ?? [];
        for (const arithmetic of arithmetics) {
          const own = answers.get(arithmetic) ?? [];
          const same = own.filter((answer, i) => answer === simulated[i]).length;
          const figures = `${arithmetic}: ${right(own)} right, simulated ${right(simulated)}, same top-1 ${same} of ${samples.length}`;
          context.diagnostic(figures);
          assert.ok(right(simulated) - right(own) <= Math.max(1, Math.floor(samples.length / 300)), figures);
          assert.ok(same >= 0.97 * samples.length, figures);
        }
        result.dispose();
        model.dispose();
      });
    },
  );
}
