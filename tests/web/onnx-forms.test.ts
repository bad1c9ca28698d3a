/** Every form in which a scheme stands in an ONNX file: both onnxruntimes run it, and compute what we mean. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import {
  convert,
  createSession,
  dequantize,
  inspect,
  listSchemes,
  loadModel,
  openToolkit,
  quantize,
  type Feeds,
  type Model,
  type Progress,
  type QuantizeResult,
  type RecipeInput,
  type SchemeName,
  schemeNames,
  type Target,
  type Toolkit,
} from '../../web/src/node.js';
import { exampleFeeds, exampleSamples, loadExample } from './support/example.js';
import { numbers, sqnrDb } from './support/measure.js';
import { openRuntime, runtimeNames, whyNotExact } from './support/onnxruntime.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { smallModel } from './support/small-model.js';

/** Float products are added in another order by each runtime. */
const minSqnrDb = 60;
/** onnxruntime has no kernels for their portable forms: tests/conformance/forms_with_reference.py checks those by onnx's own evaluator. */
const withoutKernel = /^(mxfp8|mxfp8_e5m2|mxfp4|mxint8|nvfp4)$/;
/** Two products and a table: one weight read by its columns, one transposed, and rows of a table. */
const rows = 64;
const columns = 96;

let toolkit: Toolkit;
let small: Model;

function wave(length: number, step: number): Float32Array {
  return Float32Array.from({ length }, (_, i) => Math.sin(step * (i + 1)) * (1 + Math.sin(0.01 * i)));
}

before(async () => {
  toolkit = await openToolkit();
  const bytes = smallModel({
    opset: 17,
    inputs: { x: [2, rows] },
    outputs: ['y'],
    constants: {
      w: { shape: [rows, columns], data: wave(rows * columns, 0.7) },
      v: { shape: [columns, columns], data: wave(columns * columns, 1.3) },
      b: { shape: [columns], data: wave(columns, 0.9) },
      table: { shape: [40, columns], data: wave(40 * columns, 1.9) },
      i: { shape: [2], data: BigInt64Array.of(3n, 39n) },
    },
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['m'] },
      { op: 'Relu', inputs: ['m'], outputs: ['r'] },
      { op: 'Gemm', inputs: ['r', 'v', 'b'], outputs: ['g'], attributes: { transB: 1 } },
      { op: 'Gather', inputs: ['table', 'i'], outputs: ['t'] },
      { op: 'Add', inputs: ['g', 't'], outputs: ['y'] },
    ],
  });
  small = await loadModel(toolkit, bytes, { name: 'small.onnx' });
});
after(async () => {
  small.dispose();
  assert.equal(await toolkit.liveHandles(), 0);
  await toolkit.dispose();
});

const smallFeeds: Feeds = { x: { dtype: 'f32', shape: [2, rows], data: wave(2 * rows, 0.37) } };

async function ours(model: Model, feeds: Feeds): Promise<ArrayLike<number>> {
  const session = await createSession(model, { arithmetic: 'simulated' });
  const outputs = await session.run(feeds);
  session.dispose();
  return numbers(Object.values(outputs)[0]);
}

/** As it stands in the file: while loading, onnxruntime-node makes products of 8-bit activations of DequantizeLinear and MatMul. */
async function theirs(
  name: (typeof runtimeNames)[number],
  bytes: Uint8Array,
  feeds: Feeds,
  isVerbatim = true,
): Promise<ArrayLike<number>> {
  const runtime = await openRuntime(name, bytes, { isVerbatim });
  const outputs = await runtime.run(feeds);
  await runtime.close();
  return numbers(Object.values(outputs)[0]);
}

/** The operators of a model, by name. */
const operatorsOf = (model: Model): Record<string, number> =>
  Object.fromEntries(model.info.operators.map(({ opType, count }) => [opType, count]));

/** `reasonNot`: why what a runtime computes here is shown, but not asked for. */
async function checkRuntimes(
  model: Model,
  bytes: Uint8Array,
  feeds: Feeds,
  tell: (text: string) => void,
  reasonNot: (name: (typeof runtimeNames)[number]) => string | undefined = () => undefined,
): Promise<void> {
  const meant = await ours(model, feeds);
  for (const name of runtimeNames) {
    const fidelity = sqnrDb(meant, await theirs(name, bytes, feeds));
    const reason = reasonNot(name);
    tell(`${name}: ${fidelity.toFixed(1)} dB${reason === undefined ? '' : `, ${reason}`}`);
    if (reason === undefined) assert.ok(fidelity > minSqnrDb, `${name}: ${fidelity} dB to ours`);
  }
}

/** Names, nodes and shapes, of each weight; zero points that an operator takes for granted. */
const maxNamingBytes = 1600;

/** What the report says of weights is what the file holds of them. */
function checkSizes(result: QuantizeResult, float: Model): void {
  const weights = result.report.tensors.filter(({ role }) => role === 'weight');
  const said = weights.reduce((sum, { bytesBefore, bytesAfter }) => sum + bytesAfter - bytesBefore, float.info.bytes);
  assert.ok(Math.abs(result.sizeBytes - said) < maxNamingBytes * weights.length, `${result.sizeBytes} bytes, said ${said}`);
}

/** The file opened again is known as quantized, becomes floats that compute the same, and can be quantized anew. */
async function checkReopened(result: QuantizeResult, context: { diagnostic: (text: string) => void }): Promise<void> {
  const opened = await loadModel(toolkit, result.bytes);
  assert.equal(opened.info.isQuantized, true);
  const float = await dequantize(opened);
  assert.equal(float.model.info.isQuantized, false);
  // Of the table, whose rows are constants too, two rows are left.
  assert.ok(float.sizeBytes > 0.8 * small.info.bytes, `${float.sizeBytes} bytes of ${small.info.bytes}`);
  const fidelity = sqnrDb(await ours(opened, smallFeeds), await ours(float.model, smallFeeds));
  context.diagnostic(`dequantized: ${fidelity.toFixed(1)} dB to the file, ${float.messages[0] ?? ''}`);
  assert.ok(fidelity > 120, `${fidelity} dB`);
  const anew = await quantize(opened, { recipe: { mode: 'weight_only' }, evaluation: false });
  assert.ok(anew.report.messages[0]?.startsWith('dequantized to float'));
  assert.equal(anew.report.tensors.filter(({ role }) => role === 'weight').length, 2);
  for (const one of [anew, float, opened]) one.dispose();
}

for (const format of ['qdq', 'qoperator'] as const) {
  for (const scheme of schemeNames) {
    void test(`${scheme}, ${format}: the file is what is said of it, and both runtimes compute what we mean`, async (context) => {
      const result = await quantize(small, { recipe: { mode: 'weight_only', format, weight: { scheme } }, evaluation: false });
      assert.ok(result.sizeBytes < small.info.bytes, `${result.sizeBytes} bytes of ${small.info.bytes}`);
      checkSizes(result, small);
      const listed = (await listSchemes(toolkit)).find(({ name }) => name === scheme);
      assert.ok(listed);
      const { targets, opset } = listed;
      const found = operatorsOf(result.model);
      // What onnxruntime has no kernel for has another form for it (below).
      if (!withoutKernel.test(scheme)) {
        for (const operator of ['MatMulNBits', 'MatMulBnb4'])
          assert.equal(operator in found, format === 'qoperator' && targets.includes(operator), `${operator}: ${targets}`);
        if (format === 'qdq') assert.equal('DequantizeLinear' in found, targets.startsWith('DequantizeLinear'), targets);
        assert.ok(result.model.info.opset >= opset);
        await checkRuntimes(result.model, result.bytes, smallFeeds, (text) => {
          context.diagnostic(`${text}, ${result.sizeBytes} bytes`);
        });
      }
      await checkReopened(result, context);
      result.dispose();
    });
  }
}

void test('tables of levels, where no byte is full: files of opset 13 are smaller than float', async (context) => {
  const extent = 101;
  const shape = [extent, extent];
  const bytes = smallModel({
    opset: 13,
    inputs: { x: [2, extent] },
    outputs: ['y'],
    constants: {
      w: { shape, data: wave(extent * extent, 0.7) },
      v: { shape, data: wave(extent * extent, 1.3) },
    },
    nodes: [
      { op: 'MatMul', inputs: ['x', 'w'], outputs: ['m'] },
      { op: 'Gemm', inputs: ['m', 'v'], outputs: ['y'], attributes: { transB: 1 } },
    ],
  });
  const model = await loadModel(toolkit, bytes, { name: 'odd.onnx' });
  const feeds: Feeds = { x: { dtype: 'f32', shape: [2, extent], data: wave(2 * extent, 0.37) } };
  for (const { name, targets } of await listSchemes(toolkit)) {
    if (targets.startsWith('DequantizeLinear')) continue;
    const weight = { scheme: name as SchemeName };
    const result = await quantize(model, { recipe: { mode: 'weight_only', weight }, evaluation: false });
    assert.equal(operatorsOf(result.model)['MatMul'], name.startsWith('bcq') ? 3 : 1, name);
    assert.ok(result.sizeBytes < 0.52 * bytes.length, `${name}: ${result.sizeBytes} bytes of ${bytes.length}`);
    checkSizes(result, model);
    await checkRuntimes(result.model, result.bytes, feeds, (text) => {
      context.diagnostic(`${name}: ${text}, ${(result.sizeBytes / bytes.length).toFixed(3)} of the float file`);
    });
    result.dispose();
  }
  model.dispose();
});

for (const scheme of schemeNames.filter((name) => withoutKernel.test(name))) {
  void test(`${scheme}: a file for onnxruntime holds nothing that it cannot load, a portable one the codes as ONNX has them`, async () => {
    const made = async (target: Target): Promise<readonly string[]> => {
      const recipe: RecipeInput = { mode: 'weight_only', target, weight: { scheme } };
      const result = await quantize(small, { recipe, evaluation: false });
      const types = [...new Set(result.model.info.tensors.map(({ dtype }) => dtype))];
      if (target !== 'portable') {
        // Runtimes as people have them, which rewrite graphs while loading.
        const [meant, feeds] = [await ours(result.model, smallFeeds), smallFeeds];
        for (const name of runtimeNames) {
          const fidelity = sqnrDb(meant, await theirs(name, result.bytes, feeds, scheme === 'mxint8'));
          assert.ok(fidelity > minSqnrDb, `${target}, ${name}: ${fidelity} dB`);
        }
      }
      result.dispose();
      return types;
    };
    for (const target of ['onnxruntime-web', 'onnxruntime'] as const) {
      const types = await made(target);
      assert.ok(!types.includes('e8m0') && !types.includes('f4e2m1'), types.join());
    }
    const types = await made('portable');
    assert.ok(types.includes('e8m0') || types.includes('f4e2m1'), types.join());
  });
}

const operators: readonly (readonly [string, RecipeInput, Readonly<Record<string, number>>])[] = [
  ['q4', { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'i4_b32' } }, { MatMulNBits: 2, GatherBlockQuantized: 1 }],
  ['u4', { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'u4_b32' } }, { MatMulNBits: 2, GatherBlockQuantized: 1 }],
  ['u2', { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'u2_b32' } }, { MatMulNBits: 2, GatherBlockQuantized: 1 }],
  ['i8', { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'i8_b32' } }, { MatMulNBits: 2, GatherBlockQuantized: 1 }],
  ['bnb4', { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'nf4' } }, { MatMulBnb4: 1 }],
  ['fp4', { mode: 'weight_only', format: 'qoperator', weight: { scheme: 'fp4' } }, { MatMulBnb4: 1 }],
  ['dynamic', { mode: 'dynamic', format: 'qoperator' }, { DynamicQuantizeMatMul: 2 }],
  ['dynamic uint8', { mode: 'dynamic', format: 'qoperator', weight: { dtype: 'u8' } }, { DynamicQuantizeMatMul: 2 }],
  ['dynamic qdq', { mode: 'dynamic' }, { MatMulInteger: 2, DynamicQuantizeLinear: 2 }],
];
for (const [name, recipe, wanted] of operators) {
  void test(`${name}: the file has the operators that it says, and both runtimes run them`, async (context) => {
    const result = await quantize(small, { recipe, evaluation: false });
    const found = operatorsOf(result.model);
    for (const [operator, count] of Object.entries(wanted)) assert.equal(found[operator], count, operator);
    const tell = (text: string): void => {
      context.diagnostic(text);
    };
    await checkRuntimes(result.model, result.bytes, smallFeeds, tell, recipe.mode === 'dynamic' ? whyNotExact : undefined);
    // And the way back: a float model that computes nearly the same.
    const float = await dequantize(result.model);
    assert.equal(float.model.info.isQuantized, false);
    const fidelity = sqnrDb(await ours(result.model, smallFeeds), await ours(float.model, smallFeeds));
    assert.ok(fidelity > (recipe.mode === 'dynamic' ? 20 : minSqnrDb), `dequantized: ${fidelity} dB`);
    float.dispose();
    result.dispose();
  });
}

void test('q4f16: 4-bit weights in a float16 graph, half the activations', async (context) => {
  const result = await quantize(small, { recipe: 'q4f16', evaluation: false });
  assert.ok(operatorsOf(result.model)['MatMulNBits'] === 2);
  const meant = await ours(result.model, smallFeeds);
  for (const name of runtimeNames) {
    const fidelity = sqnrDb(meant, await theirs(name, result.bytes, smallFeeds));
    context.diagnostic(`${name}: ${fidelity.toFixed(1)} dB`);
    assert.ok(fidelity > minSqnrDb, `${name}: ${fidelity} dB`);
  }
  result.dispose();
});

void test('static, qoperator: integer operators in the file, exact in both runtimes, and back to QDQ', async (context) => {
  const model = await loadExample(toolkit);
  const [feeds] = (await exampleFeeds(model, 'eval', 1)) as [Feeds];
  const calibration = exampleSamples(model, 'images');
  const result = await quantize(model, { recipe: { format: 'qoperator' }, calibration, evaluation: false });
  const found = operatorsOf(result.model);
  assert.ok((found['QLinearConv'] ?? 0) > 10, JSON.stringify(found));
  const meant = await ours(result.model, feeds);
  const tell = (text: string): void => {
    context.diagnostic(text);
  };
  await checkRuntimes(result.model, result.bytes, feeds, tell, whyNotExact);
  const stages: string[] = [];
  const back = await convert(result.model, { format: 'qdq' }, { onProgress: ({ stage }) => stages.push(stage) });
  assert.deepEqual([...new Set(stages)], ['convert', 'write']);
  assert.equal(back.model.info.fileName, 'model_qdq.onnx');
  assert.equal((await inspect(back.model)).fileName, 'model_qdq.onnx');
  assert.equal(operatorsOf(back.model)['QLinearConv'], undefined);
  const again = await convert(back.model, { format: 'qoperator' });
  assert.equal(operatorsOf(again.model)['QLinearConv'], found['QLinearConv']);
  assert.deepEqual(numbersOf(await ours(again.model, feeds)), numbersOf(meant));
  for (const owner of [again, back, result]) owner.dispose();
  model.dispose();
});

void test('an aborted conversion leaves the model as it was, and nothing behind', async () => {
  const result = await quantize(small, { recipe: { mode: 'weight_only', format: 'qoperator' }, evaluation: false });
  const before = await toolkit.liveHandles();
  const reason = new Error('enough');
  for (const stage of ['convert', 'write']) {
    const controller = new AbortController();
    const onProgress = (progress: Progress): void => {
      if (progress.stage === stage) controller.abort(reason);
    };
    await assert.rejects(dequantize(result.model, {}, { signal: controller.signal, onProgress }), reason);
  }
  const float = await dequantize(result.model);
  assert.equal(float.model.info.fileName, 'small_float.onnx');
  float.dispose();
  assert.equal(await toolkit.liveHandles(), before);
  result.dispose();
});

const numbersOf = (values: ArrayLike<number>): number[] => Array.from(values);

const qdqModel = 'models/classification/mobilenet_v2_qdq_244.onnx';
void test(
  'a model that others quantized: inspected, converted, dequantized, and quantized anew',
  { skip: whyNotShared(qdqModel) },
  async (context) => {
    const model = await loadModel(toolkit, sharedPath(qdqModel));
    assert.equal(model.info.isQuantized, true);
    assert.ok(
      model.info.tensors.some(({ scheme }) => scheme.startsWith('i8 ')),
      'schemes per tensor',
    );
    const input = model.info.inputs[0];
    assert.ok(input);
    const shape = (input.shape ?? []).map((extent) => (extent > 0 ? extent : 1));
    const feeds: Feeds = {
      [input.name]: {
        dtype: 'f32',
        shape,
        data: wave(
          shape.reduce((a, b) => a * b, 1),
          0.37,
        ),
      },
    };
    const linear = await convert(model, { format: 'qoperator' });
    assert.ok((operatorsOf(linear.model)['QLinearConv'] ?? 0) > 50);
    for (const name of runtimeNames) {
      // onnxruntime makes the same operators of the QDQ form while loading.
      const [a, b] = [
        await theirs(name, new Uint8Array(readFileSync(sharedPath(qdqModel))), feeds, false),
        await theirs(name, linear.bytes, feeds),
      ];
      context.diagnostic(`${name}: qoperator to qdq ${sqnrDb(a, b)} dB`);
      assert.equal(sqnrDb(a, b), Infinity);
    }
    linear.dispose();
    const float = await dequantize(model);
    assert.equal(float.model.info.isQuantized, false);
    assert.ok(float.sizeBytes > 3 * model.info.bytes);
    context.diagnostic(`float to quantized: ${sqnrDb(await ours(float.model, feeds), await ours(model, feeds)).toFixed(1)} dB`);
    const anew = await quantize(model, { recipe: 'q4', evaluation: false });
    assert.ok(anew.report.messages[0]?.startsWith('dequantized to float'));
    assert.ok(anew.report.warnings.some((text) => text.includes('quantized already')));
    assert.ok(anew.report.nodes.some(({ isQuantized }) => isQuantized));
    await checkRuntimes(anew.model, anew.bytes, feeds, (text) => {
      context.diagnostic(`q4 anew: ${text}`);
    });
    anew.dispose();
    float.dispose();
    model.dispose();
  },
);

/** A classifier of file types (products, a table) and one of pictures (convolutions). */
const realModels: readonly (readonly [string, (name: string) => Feeds])[] = [
  [
    'models/text/magika_standard_v3_3.onnx',
    (name) => ({
      [name]: { dtype: 'i32', shape: [1, 2048], data: Int32Array.from({ length: 2048 }, (_, i) => (i * 7919) % 256) },
    }),
  ],
  [
    'models/classification/squeezenet1_1.onnx',
    (name) => ({ [name]: { dtype: 'f32', shape: [1, 3, 224, 224], data: wave(3 * 224 * 224, 0.037) } }),
  ],
];
const realSchemes: readonly SchemeName[] = ['i4_b32', 'nf4', 'kmeans16', 'u2_b32', 'f8e4m3fn', 'ternary', 'pq4'];
for (const [path, feedsOf] of realModels) {
  void test(`${path} in every kind of form`, { skip: whyNotShared(path) }, async (context) => {
    const model = await loadModel(toolkit, sharedPath(path));
    const feeds = feedsOf(model.info.inputs[0]?.name ?? '');
    for (const scheme of realSchemes) {
      const result = await quantize(model, {
        recipe: { mode: 'weight_only', format: 'qoperator', weight: { scheme } },
        evaluation: false,
        measureWeights: false,
      });
      await checkRuntimes(result.model, result.bytes, feeds, (text) => {
        context.diagnostic(`${scheme}: ${text}, ${(result.sizeBytes / model.info.bytes).toFixed(3)} of the float file`);
      });
      result.dispose();
    }
    model.dispose();
  });
}
