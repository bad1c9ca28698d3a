// Quantizes every model of the development set in all four modes with the native program quantize_model and writes
// docs/models.md: `node scripts/models-table.mjs QUANTIZE_MODEL [--shared DIR] [--keep DIR] [--target NAME] [--only TEXT] [--no-write]`.
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const MODES = ['static', 'dynamic', 'weight_only', 'float16'];

/** What the inputs are made of, where the model leaves a shape open or wants other values than noise. */
const MODELS = {
  'audio/basic_pitch_nmp': [],
  'audio/dtln_1': [],
  'audio/dtln_2': [],
  'audio/mlperf_kws_dscnn': [],
  'audio/oww_alexa_v0.1': [],
  'audio/oww_embedding': [],
  'audio/oww_melspectrogram': ['input=1x12640'],
  'audio/silero_vad': ['input=1x576', 'state=2x1x128', 'sr=:16000'],
  'audio/silero_vad_16k_op15': ['input=1x576', 'state=2x1x128', 'sr=:16000'],
  'classification/mlperf_resnet8_cifar10': ['input=1x3x32x32:0-255'],
  'classification/mnist_cntk': ['Input3=1x1x28x28:0-255'],
  'classification/mobilenet_v2_1.0_224': [],
  'classification/mobilenet_v2_qdq_244': [],
  'classification/squeezenet1_1': [],
  'detection/fastestdet': ['input.1=1x3x352x352:0-1'],
  'detection/ultraface_rfb_320': [],
  'headpose/fsanet_1x1': [],
  'ocr/ppocr_mobile_v2.0_cls': ['x=1x3x48x192'],
  'segmentation/deeplabv3_mnv2_pascal_513': [],
  'style/fns_candy_720': [],
  'superres/super_resolution': ['input=1x1x224x224:0-1'],
  'text/magika_standard_v3_3': ['bytes=1x2048:0-256'],
  'text/stories260K': ['input_ids=1x64:0-511'],
  'text/tiny_bert_random': ['input_ids=1x32:0-999', 'attention_mask=1x32:1'],
};

function optionsOf(argv) {
  const options = { program: '', shared: join(ROOT, '..', 'shared'), keep: '', target: '', only: '', isWritten: true };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--no-write') options.isWritten = false;
    else if (argv[i].startsWith('--')) options[argv[i].slice(2)] = argv[++i];
    else options.program = argv[i];
  }
  if (options.program === '') throw new Error('name the built program quantize_model, e.g. build/native/quantize_model');
  return options;
}

function quantized(options, folder, model, inputs, mode) {
  const out = join(folder, `${basename(model)}_${mode}.onnx`);
  const args = [join(options.shared, 'models', `${model}.onnx`), out, '--mode', mode, '--seeded', '8'];
  if (options.target !== '') args.push('--target', options.target);
  for (const input of inputs) args.push('--input', input);
  const run = spawnSync(options.program, args, { encoding: 'utf8', timeout: 300_000 });
  if (run.status === 0) {
    const sqnrs = [...run.stdout.matchAll(/^output (.*): sqnr (\S+) dB/gm)].map((match) =>
      match[2] === 'inf' ? Infinity : Number(match[2]),
    );
    const nodes = /^(\d+) of (\d+) nodes/.exec(run.stdout);
    return {
      bytes: statSync(out).size,
      sqnr: Math.min(...sqnrs),
      nodes: nodes === null ? '' : `${nodes[1]} of ${nodes[2]}`,
      note: '',
    };
  }
  // A model that our engine refuses in float can still have its weights stored.
  if (!args.includes('--no-compare') && mode !== 'static') {
    const again = spawnSync(options.program, [...args, '--no-compare'], { encoding: 'utf8', timeout: 300_000 });
    if (again.status === 0) {
      const nodes = /^(\d+) of (\d+) nodes/.exec(again.stdout);
      return { bytes: statSync(out).size, sqnr: NaN, nodes: `${nodes[1]} of ${nodes[2]}`, note: 'not run here' };
    }
  }
  return { bytes: 0, sqnr: NaN, nodes: '', note: run.stderr.trim().split('\n').at(-1) ?? 'ended without a word' };
}

const kilobytes = (bytes) => (bytes / 1000).toFixed(0);
const decibels = (sqnr) => (Number.isFinite(sqnr) ? sqnr.toFixed(1) : sqnr === Infinity ? 'exact' : '');

const options = optionsOf(process.argv.slice(2));
const folder = options.keep !== '' ? options.keep : mkdtempSync(join(tmpdir(), 'bitwright-models-'));
mkdirSync(folder, { recursive: true });
const rows = [];
for (const [model, inputs] of Object.entries(MODELS)) {
  if (!model.includes(options.only)) continue;
  const before = statSync(join(options.shared, 'models', `${model}.onnx`)).size;
  for (const mode of MODES) {
    const result = quantized(options, folder, model, inputs, mode);
    const ratio = result.bytes > 0 ? `${(before / result.bytes).toFixed(2)}x` : '';
    const after = result.bytes > 0 ? kilobytes(result.bytes) : '';
    rows.push(
      `| ${basename(model)} | ${mode} | ${result.nodes} | ${kilobytes(before)} | ${after} | ${ratio} | ${decibels(result.sqnr)} | ${result.note} |`,
    );
    console.log(rows.at(-1));
  }
}
if (options.keep === '') rmSync(folder, { recursive: true });
if (options.isWritten && options.only === '' && options.target === '')
  writeFileSync(
    join(ROOT, 'docs', 'models.md'),
    `# The development models, quantized

Every ONNX model of the development set in every mode with the default recipe (target onnxruntime-web), made by

    node scripts/models-table.mjs build/native/quantize_model

Calibrated and compared on 8 seeded random inputs, which is much harder on a model than its own data: read the SQNR (float
against quantized on our engine, the worst of the outputs) as a check that nothing broke, not as accuracy. Accuracy on real data
is in the closing notes of the issues. Sizes in kB.

| model | mode | nodes quantized | before | after | smaller | SQNR dB | note |
| --- | --- | --- | --- | --- | --- | --- | --- |
${rows.join('\n')}
`,
  );
