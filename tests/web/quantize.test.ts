import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import {
  calibrate,
  compare,
  createSession,
  inspect,
  loadModel,
  quantize,
  recipeJson,
  reportHtml,
  reportSchemaVersion,
  type Progress,
  type QuantMode,
  type Tensor,
  type WeightClipping,
  type WritePlan,
} from '../../web/src/node.js';
import { exampleBytes, exampleFeeds, exampleSamples, loadExample } from './support/example.js';
import { xxh64 } from './support/xxh64.js';
import { withToolkit } from './support/toolkit.js';

const modes: readonly QuantMode[] = ['static', 'dynamic', 'weight_only', 'float16'];

for (const mode of modes) {
  void test(`${mode}: the example becomes smaller, loads again, says what became of each node, and is the same twice`, async () => {
    await withToolkit(async (toolkit) => {
      const model = await loadExample(toolkit);
      const calibration = exampleSamples(model, 'images');
      const evaluation = exampleSamples(model, 'eval');
      const first = await quantize(model, { recipe: { mode }, calibration, evaluation });
      const second = await quantize(model, { recipe: { mode }, calibration, evaluation: false });
      assert.deepEqual(first.bytes, second.bytes);
      assert.equal(first.sizeBytes, first.bytes.length);
      assert.ok(first.sizeBytes < (mode === 'float16' ? 0.6 : 0.5) * model.info.bytes, `${first.sizeBytes} bytes`);

      const { report } = first;
      assert.equal(report.schemaVersion, reportSchemaVersion);
      assert.equal(report.nodes.length, model.info.nodes);
      assert.ok(
        report.nodes.every((row) => row.isQuantized || row.reason !== ''),
        'a node stays in float without a reason',
      );
      assert.match(report.inputXxh64, /^[0-9a-f]{16}$/);
      assert.deepEqual(JSON.parse(JSON.stringify(report)), report);
      const { comparison } = report;
      assert.equal(comparison?.samples, 96);
      assert.equal(comparison.accuracy?.reference.count, 87);
      assert.ok(comparison.accuracy.quantized.count >= 84, `${comparison.accuracy.quantized.count} of 96 are right`);
      assert.ok((comparison.outputs[0]?.top1Agreement?.share ?? 0) >= 0.95);

      const again = await loadModel(toolkit, first.bytes);
      const metadata = Object.fromEntries((await inspect(again)).metadata);
      assert.ok(Object.values(metadata).includes(recipeJson(report.recipe)), 'the recipe stands in the metadata');
      assert.ok(Object.values(metadata).includes(report.inputXxh64), "the input's hash stands in the metadata");
      again.dispose();
      first.dispose();
      first.dispose();
      second.dispose();
      model.dispose();
    });
  });
}

for (const recipe of ['float16', 'q4f16'] as const)
  void test(`${recipe}: every node that computes is compared, whatever its values are called in half precision`, async () => {
    await withToolkit(async (toolkit) => {
      const model = await loadExample(toolkit);
      const evaluation = exampleSamples(model, 'eval', 4);
      const result = await quantize(model, { recipe, calibration: exampleSamples(model, 'images', 4), evaluation });
      const { nodes, comparison } = result.report;
      const compared = new Map(comparison?.values.map((row) => [row.node, row]));
      const inHalf = nodes.filter((row) => row.mode.endsWith('float16'));
      assert.ok(inHalf.length > 10, `${inHalf.length} nodes`);
      const leastDb = recipe === 'float16' ? 40 : 10;
      for (const row of inHalf) {
        // What a layer makes with a batch norm in it is the float model's value behind that.
        const behind = nodes[nodes.indexOf(row) + 1];
        const { node } = behind?.mode === 'folded' ? behind : row;
        const { sqnr, cosine } = compared.get(node) ?? assert.fail(`${node} is not compared`);
        assert.ok((sqnr.isExact || (sqnr.sqnrDb ?? 0) > leastDb) && cosine > 0.9, `${node}: ${sqnr.sqnrDb} dB`);
      }
      result.dispose();
      model.dispose();
    });
  });

void test('float16 leaves in float32 what the calibration samples showed beyond 65504', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const [feeds = {}] = await exampleFeeds(model, 'images', 1);
    const [name = '', tensor] = Object.entries(feeds)[0] ?? [];
    assert.ok(tensor !== undefined);
    const large = { ...tensor, data: Float32Array.from(tensor.data as Float32Array, (value) => value * 1e6) };
    const rows = async (sample: Tensor) => {
      const options = { recipe: 'float16', calibration: [{ feeds: { [name]: sample } }], evaluation: false } as const;
      const result = await quantize(model, options);
      result.dispose();
      assert.ok(!result.report.messages.some((message) => message.includes('were not checked')));
      return result.report.nodes.filter(({ isQuantized, reason }) => !isQuantized && /float16 ends at 65504/.test(reason)).length;
    };
    assert.equal(await rows(tensor), 0);
    assert.ok((await rows(large)) > 0);
    model.dispose();
  });
});

void test('output_error needs samples, which then decide the bytes', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const recipeOf = (clipping: WeightClipping) =>
      ({ mode: 'weight_only', weight: { scheme: 'i3_b32', overrides: { clipping } } }) as const;
    const calibration = exampleSamples(model, 'images');
    const evaluation = exampleSamples(model, 'eval');
    await assert.rejects(quantize(model, { recipe: recipeOf('output_error') }), { code: 'invalid_argument' });
    const sqnrOf = async (clipping: WeightClipping) => {
      const result = await quantize(model, { recipe: recipeOf(clipping), calibration, evaluation });
      result.dispose();
      return result.report.comparison?.outputs[0]?.sqnr.sqnrDb ?? 0;
    };
    const [after, before] = [await sqnrOf('output_error'), await sqnrOf('mse')];
    assert.ok(after > before, `${after} dB, mse ${before} dB`);
    model.dispose();
  });
});

void test('progress never falls within a stage and reaches its total', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const seen: Progress[] = [];
    const samples = exampleSamples(model, 'images', 6);
    const result = await quantize(model, { calibration: samples }, { onProgress: (progress) => seen.push(progress) });
    const stages = new Map<string, Progress>();
    for (const progress of seen) {
      const last = stages.get(progress.stage);
      assert.ok(progress.done <= progress.total, JSON.stringify(progress));
      assert.ok(last === undefined || progress.done >= last.done, `${JSON.stringify(last)} then ${JSON.stringify(progress)}`);
      stages.set(progress.stage, progress);
    }
    for (const stage of ['calibrate', 'quantize weights', 'compare']) assert.ok(stages.has(stage), [...stages.keys()].join());
    for (const [stage, { done, total }] of stages) assert.equal(done, total, stage);
    result.dispose();
    model.dispose();
  });
});

void test('an abort rejects with its reason and leaves the model usable', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const calibration = exampleSamples(model, 'images', 8);
    const controller = new AbortController();
    const reason = new Error('the user changed his mind');
    const stopped = quantize(
      model,
      { calibration },
      {
        signal: controller.signal,
        onProgress: ({ done }) => {
          if (done === 3) controller.abort(reason);
        },
      },
    );
    await assert.rejects(stopped, (error) => error === reason);
    await assert.rejects(quantize(model, { calibration }, { signal: controller.signal }), (error) => error === reason);
    const result = await quantize(model, { calibration, evaluation: false });
    assert.ok(result.sizeBytes > 0);
    result.dispose();
    model.dispose();
  });
});

void test('a finished calibration serves more than one recipe of the same needs, and stays the caller’s', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const samples = exampleSamples(model, 'images', 8);
    const calibration = await calibrate(model, samples);
    const one = await quantize(model, { calibration });
    const other = await quantize(model, { calibration: samples, evaluation: false });
    assert.deepEqual(one.bytes, other.bytes);
    assert.equal(one.report.comparison, null);
    const fewer = await quantize(model, { recipe: { exclude: ['op:Gemm'] }, calibration });
    assert.notDeepEqual(fewer.bytes, one.bytes);
    calibration.dispose();
    await assert.rejects(quantize(model, { calibration }), { code: 'disposed' });
    for (const owned of [one, other, fewer, model]) owned.dispose();
  });
});

void test('each calibrator gives a model that still sees the same classes', async (context) => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const calibration = exampleSamples(model, 'images');
    const evaluation = exampleSamples(model, 'eval', 48);
    for (const method of ['min_max', 'moving_average', 'percentile', 'entropy', 'mse'] as const) {
      const result = await quantize(model, { recipe: { calibration: { method } }, calibration, evaluation });
      const agreement = result.report.comparison?.outputs[0]?.top1Agreement?.share ?? 0;
      context.diagnostic(`${method}: top-1 agreement ${agreement.toFixed(3)}`);
      assert.ok(agreement >= 0.9, `${method}: ${agreement}`);
      result.dispose();
    }
    model.dispose();
  });
});

void test('samples are asked for one at a time, from an async iterator too', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const list = exampleSamples(model, 'images', 4);
    let given = 0;
    async function* walk() {
      for (const sample of list) {
        given += 1;
        yield sample;
      }
    }
    const fromWalk = await quantize(model, { calibration: walk(), evaluation: false });
    const fromList = await quantize(model, { calibration: list, evaluation: false });
    assert.equal(given, 4);
    assert.deepEqual(fromWalk.bytes, fromList.bytes);
    assert.equal(fromWalk.report.calibration?.samples, 4);
    for (const owned of [fromWalk, fromList, model]) owned.dispose();
  });
});

void test('wrong requests have codes of their own', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const calibration = exampleSamples(model, 'images', 2);
    await assert.rejects(quantize(model, {}), { code: 'invalid_argument' });
    await assert.rejects(quantize(model, { calibration: [] }), { code: 'bad_data' });
    await assert.rejects(quantize(model, { recipe: { exclude: ['nothing*'] }, calibration }), { code: 'pattern_unmatched' });
    await assert.rejects(quantize(model, { recipe: { include: ['op:Clip'], mode: 'weight_only' } }), {
      code: 'nothing_quantized',
    });
    await assert.rejects(quantize(model, { calibration: [{ feeds: {} }] }), { code: 'invalid_argument' });
    const wrong = { image: { dtype: 'f32', shape: [1, 3, 8], data: new Float32Array(24) } } as const;
    await assert.rejects(quantize(model, { calibration: [{ feeds: wrong }] }), (error: { code?: string }) =>
      ['invalid_argument', 'shape_mismatch'].includes(error.code ?? ''),
    );
    const notNumbers = {
      image: { dtype: 'f32', shape: [1, 3, 64, 64], data: new Float32Array(3 * 64 * 64).fill(Number.NaN) },
    } as const;
    await assert.rejects(quantize(model, { calibration: [{ feeds: notNumbers }] }), { code: 'bad_data' });
    model.dispose();
  });
});

void test('a model that is quantized already is not made smaller, and that is an error', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const half = await quantize(model, { recipe: 'float16' });
    const again = await loadModel(toolkit, half.bytes);
    await assert.rejects(quantize(again, { recipe: 'float16' }), (error: { code?: string }) =>
      ['not_smaller', 'nothing_quantized'].includes(error.code ?? ''),
    );
    for (const owned of [half, again, model]) owned.dispose();
  });
});

void test('an output path is written whole or not at all, with external data where asked', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-quantize-'));
  try {
    await withToolkit(async (toolkit) => {
      const model = await loadExample(toolkit);
      const outputPath = join(folder, 'small.onnx');
      const result = await quantize(model, {
        recipe: 'weight_only',
        outputPath,
        externalName: 'small.onnx_data',
        externalPath: join(folder, 'small.onnx_data'),
      });
      assert.deepEqual(readdirSync(folder).sort(), ['small.onnx', 'small.onnx_data']);
      assert.equal(readFileSync(outputPath).length, result.sizeBytes);
      const inMemory = await quantize(model, { recipe: 'weight_only' });
      const again = await loadModel(toolkit, outputPath);
      const { outputs } = await compare(inMemory.model, again, exampleSamples(model, 'eval', 4));
      assert.equal(outputs[0]?.sqnr.isExact, true);
      await assert.rejects(quantize(model, { recipe: 'weight_only', outputPath: join(folder, 'no', 'such.onnx') }), {
        code: 'io_failed',
      });
      assert.equal(existsSync(join(folder, 'no')), false);
      for (const owned of [result, inMemory, again, model]) owned.dispose();
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

void test('one and two threads give the same bytes', async () => {
  const made: Uint8Array[] = [];
  for (const threads of [1, 2])
    await withToolkit(
      async (toolkit) => {
        assert.equal(toolkit.info.threads, threads);
        const model = await loadExample(toolkit);
        const calibration = exampleSamples(model, 'images', 12);
        for (const recipe of [
          { calibration: { method: 'entropy' } },
          { mode: 'weight_only', weight: { scheme: 'kmeans16' } },
        ] as const) {
          const result = await quantize(model, { recipe, calibration, evaluation: false });
          made.push(result.bytes);
          result.dispose();
        }
        model.dispose();
      },
      { threads },
    );
  assert.deepEqual(made[0], made[2]);
  assert.deepEqual(made[1], made[3]);
});

void test('the plan is shown before anything is written, and what it throws ends the call', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const plans: WritePlan[] = [];
    const written: number[] = [];
    const output = { write: (bytes: Uint8Array) => void written.push(bytes.length) };
    const beforeWrite = (plan: WritePlan): void => {
      plans.push(plan);
      assert.equal(written.length, 0);
      if (plans.length === 1) throw new Error('not this one');
    };
    const options = { recipe: 'weight_only', output, beforeWrite } as const;
    await assert.rejects(quantize(model, options), /not this one/);
    assert.deepEqual(written, []);
    const result = await quantize(model, options);
    assert.deepEqual(plans[1]?.lint, result.report.lint);
    assert.ok(plans[1].lint.some(({ severity }) => severity === 'warning'));
    assert.deepEqual([plans[1].sizeBytes, plans[1].isExternal], [result.sizeBytes, false]);
    for (const owned of [result, model]) owned.dispose();
  });
});

void test('the hash of the input is that of the file given, for one that is quantized already too, and never an older one', async () => {
  await withToolkit(async (toolkit) => {
    const keys = async (bytes: Uint8Array): Promise<string | undefined> => {
      const written = await loadModel(toolkit, bytes);
      const found = written.info.metadata.filter(([key]) => key === 'bitwright.input_xxh64');
      written.dispose();
      assert.ok(found.length <= 1);
      return found[0]?.[1];
    };
    const float = await loadExample(toolkit);
    const first = await quantize(float, { recipe: 'weight_only' });
    const given = await loadModel(toolkit, first.bytes);
    const again = await quantize(given, { recipe: 'float16' });
    assert.match(again.report.inputXxh64, /^[0-9a-f]{16}$/);
    assert.notEqual(again.report.inputXxh64, first.report.inputXxh64);
    assert.equal(again.report.inputXxh64, xxh64(first.bytes));
    assert.equal(first.report.inputXxh64, xxh64(exampleBytes()));
    assert.equal(await keys(again.bytes), again.report.inputXxh64);
    // What was quantized here and never was a file has no hash; that of the float model is not its own.
    const unsaved = await quantize(first.model, { recipe: 'float16' });
    assert.equal(unsaved.report.inputXxh64, '');
    assert.equal(await keys(unsaved.bytes), undefined);
    for (const owned of [unsaved, again, given, first, float]) owned.dispose();
  });
});

void test('the HTML report stands alone: no address, no script from outside, hostile names as text', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const result = await quantize(model, {
      calibration: exampleSamples(model, 'images', 4),
      sourceNote: '<img src=x onerror=alert(1)>',
    });
    const html = reportHtml(result.report);
    assert.equal(/<(script|link|img|iframe)\b/i.test(html), false);
    assert.deepEqual(
      html.match(/\b(?:https?:)?\/\/[a-z][^\s"'<]*/gi)?.filter((url) => !url.startsWith('http://www.w3.org/')) ?? [],
      [],
    );
    assert.ok(html.includes('&#60;img src=x'));
    assert.ok(html.includes('<svg'));
    for (const owned of [result, model]) owned.dispose();
  });
});

void test('compare: a model against itself is exact, and models of different toolkits are refused', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const { outputs, accuracy } = await compare(model, model, exampleSamples(model, 'eval', 10));
    assert.deepEqual(outputs[0]?.sqnr, { sqnrDb: null, isExact: true });
    assert.equal(outputs[0].top1Agreement?.share, 1);
    assert.equal(accuracy?.lost, 0);
    await assert.rejects(compare(model, model, []), { code: 'bad_data' });
    await withToolkit(async (otherToolkit) => {
      const stranger = await loadExample(otherToolkit);
      await assert.rejects(compare(model, stranger, exampleSamples(model, 'eval', 1)), { code: 'invalid_argument' });
      stranger.dispose();
    });
    model.dispose();
  });
});

void test('a session runs pictures and tensors, shows inner values, and says what is wrong with a feed', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const session = await createSession(model, { profile: true });
    const [picture] = exampleSamples(model, 'eval', 1);
    assert.ok(picture !== undefined);
    const { logits } = await session.run(picture);
    const expected = JSON.parse(readFileSync(new URL('../../demo/example/expected.json', import.meta.url), 'utf8')) as {
      eval: { first_logits: number[] };
    };
    expected.eval.first_logits.forEach((value, i) => {
      assert.ok(Math.abs(Number(logits?.data[i]) - value) < 2e-4, `logit ${i}: ${String(logits?.data[i])} and ${value}`);
    });
    const { observed } = await session.runObserved(picture, ['head/flatten_output']);
    assert.deepEqual(observed['head/flatten_output']?.shape, [1, 112]);
    await assert.rejects(session.runObserved(picture, ['no such value']), { code: 'invalid_argument' });
    await assert.rejects(session.run({ picture: { dtype: 'f32', shape: [1], data: new Float32Array(1) } }), {
      code: 'invalid_argument',
    });
    await assert.rejects(
      session.run({ image: { dtype: 'f32', shape: [1, 3, 64, 64], data: new Float32Array(5) } }),
      (error: { code?: string }) => ['invalid_argument', 'shape_mismatch'].includes(error.code ?? ''),
    );
    const times = await session.profile();
    assert.equal(times.length > 0 && times.every((row) => row.runs > 0 && row.timeMs >= 0), true);
    session.dispose();
    session.dispose();
    await assert.rejects(session.run(picture), { code: 'disposed' });
    model.dispose();
  });
});
