import assert from 'node:assert/strict';
import { existsSync, linkSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { writeNpy } from '../../web/src/node.js';
import { at, cli, fails, file, folder, images, labelled, pictures, quick } from './support/cli.js';
import { exampleBytes, exampleFolder, examplePath } from './support/example.js';
import { graphModel } from './support/onnx-file.js';

void test('without a command there is an overview, and help, version and unknown words have their exit codes', async () => {
  assert.deepEqual(await cli([]).then(({ status, stderr }) => [status, stderr]), [2, '']);
  const help = await cli(['--help']);
  assert.equal(help.status, 0);
  assert.match(help.stdout, /Exit codes: 0 done, 1 failed, 2 usage, 3 bad model, 4 accuracy target missed, 5 unsupported/);
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  assert.equal((await cli(['--version'])).stdout, `${version}\n`);
  const commands = [...help.stdout.matchAll(/^ {2}([a-z]+) +\S/gm)].map(([, name]) => name ?? '');
  assert.ok(commands.length > 8, commands.join());
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  assert.deepEqual(/the commands \(([^)]+)\)/.exec(readme)?.[1]?.match(/[a-z]+/g), commands);
  for (const command of commands) {
    const { status, stdout } = await cli([command, '--help']);
    assert.equal(status, 0);
    assert.match(stdout, /Examples:\n {2}bitwright/);
    assert.ok(stdout.includes('Exit codes'));
  }
  await fails(['quantise'], 2, 'usage');
});

void test('wrong options are usage errors that name the option', async () => {
  assert.match(await fails(['inspect', examplePath, '--colour'], 2, 'usage'), /--colour/);
  assert.match(await fails(['inspect'], 2, 'usage'), /MODEL is missing/);
  assert.match(await fails(['inspect', 'a', 'b'], 2, 'usage'), /'b' is one argument too many/);
  assert.match(await fails(['quantize', examplePath, '--mode', 'int3'], 2, 'usage'), /--mode is 'int3'/);
  assert.match(await fails(['quantize', examplePath], 2, 'usage'), /--calibrate PATH is needed/);
  assert.match(
    await fails(['quantize', examplePath, ...quick, '--limit', '0', '-o', 'x.onnx'], 2, 'usage', 'x.onnx'),
    /--limit is '0'/,
  );
  assert.match(
    await fails(['quantize', examplePath, ...quick, '--mean', '1,2', '-o', 'x.onnx'], 2, 'usage', 'x.onnx'),
    /--mean is '1,2'/,
  );
  assert.match(
    await fails(['quantize', examplePath, ...quick, '--crop', '5y5', '-o', 'x.onnx'], 2, 'usage', 'x.onnx'),
    /--crop is '5y5'/,
  );
  assert.match(await fails(['quantize', examplePath, ...quick, '--max-drop', 'much'], 2, 'usage'), /--max-drop is 'much'/);
  assert.match(await fails(['quantize', examplePath, '--recipe', 'no-such.json'], 2, 'usage'), /no such file/);
  assert.match(
    await fails(['quantize', examplePath, '--recipe', file('recipe.json', '{"bits": 8}')], 2, 'bad_recipe'),
    /bits is not a known key/,
  );
  assert.match(await fails(['compare', examplePath], 2, 'usage'), /two models are needed/);
  assert.match(await fails(['compare', examplePath, examplePath], 2, 'usage'), /--calibrate PATH is needed/);
  assert.match(await fails(['run', examplePath], 2, 'usage'), /--input NAME=FILE is needed/);
  assert.match(await fails(['inspect', examplePath, '--threads', 'x'], 2, 'usage'), /--threads is 'x'/);
});

void test('inspect tells a reader and a program the same', async () => {
  const shown = await cli(['inspect', examplePath]);
  assert.equal(shown.status, 0);
  assert.match(shown.stdout, /Conv/);
  assert.match(shown.stdout, /image/);
  const info = JSON.parse((await cli(['inspect', examplePath, '--json'])).stdout) as {
    nodes: number;
    inputs: { name: string }[];
  };
  assert.deepEqual([info.nodes, info.inputs[0]?.name], [65, 'image']);
});

void test("the readme's example prints what the readme says", async () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, command = '', printed = ''] = /^\$ bitwright (quantize .*)\n([^`]*)```/m.exec(readme) ?? [];
  const words = command.split(' ').map((word) => (/^(images|eval|model)[/.]/.test(word) ? join(exampleFolder, word) : word));
  const ended = await cli([...words, '-o', 'readme.onnx']);
  assert.equal(ended.status, 0, ended.stderr);
  const lines = ended.stdout.split('\n');
  const said = printed.split('\n').filter((line) => line !== '' && line !== '...');
  assert.equal(said.length, 6);
  for (const line of said) assert.ok(lines.includes(line), line);
});

void test('quantize writes the file, the report in HTML and as JSON, and never over what is there without --force', async () => {
  const words = ['quantize', examplePath, '-o', 'small.onnx', ...quick, ...labelled, '--report', 'report.html', '--json'];
  const ended = await cli(words);
  assert.equal(ended.status, 0, ended.stderr);
  const report = JSON.parse(ended.stdout) as {
    schemaVersion: number;
    warnings: string[];
    comparison: { accuracy: { reference: { count: number } } };
  };
  assert.equal(report.schemaVersion, 1);
  assert.equal(report.comparison.accuracy.reference.count, 87);
  assert.ok(statSync(at('small.onnx')).size < 0.5 * exampleBytes().length);
  assert.match(ended.stderr, /calibrate: 4\/4/);
  assert.match(ended.stderr, /wrote small\.onnx, report report\.html/);
  const html = readFileSync(at('report.html'), 'utf8');
  assert.equal(/<(script|link|img|iframe)\b|@import|url\(/i.test(html), false);
  await fails(words, 2, 'usage');
  const first = readFileSync(at('small.onnx'));
  assert.equal((await cli([...words, '--force'])).status, 0);
  assert.deepEqual(readFileSync(at('small.onnx')), first);
});

void test('the output is never the input, under whatever name, with --force neither', async () => {
  const model = file('model.onnx', exampleBytes());
  linkSync(model, at('link.onnx'));
  for (const output of ['model.onnx', './model.onnx', 'link.onnx']) {
    assert.match(await fails(['quantize', model, '-o', output, '--mode', 'weight_only', '--force'], 2, 'usage'), /is the input/);
  }
  assert.deepEqual(new Uint8Array(readFileSync(model)), exampleBytes());
  mkdirSync(at('folder'), { recursive: true });
  assert.match(await fails(['quantize', model, '-o', 'folder', '--mode', 'weight_only'], 2, 'usage'), /is a folder/);
});

void test('without -o the names are those that transformers.js looks for', async () => {
  const model = file('net.onnx', exampleBytes());
  assert.equal((await cli(['quantize', model, '--mode', 'weight_only', '-q'])).status, 0);
  assert.equal((await cli(['quantize', model, '--mode', 'float16', '-q'])).status, 0);
  assert.ok(existsSync(at('net_quantized.onnx')) && existsSync(at('net_fp16.onnx')));
});

void test('each mode, target, calibrator and pattern reaches the recipe in the report', async () => {
  const asked = [
    '--mode',
    'static',
    '--target',
    'onnxruntime',
    '--method',
    'percentile',
    '--exclude',
    'op:Gemm',
    '--include',
    'block*',
    '--include',
    'stem*',
  ];
  const { stdout, status, stderr } = await cli([
    'quantize',
    examplePath,
    '-o',
    'asked.onnx',
    ...quick,
    ...asked,
    '--json',
    '--quiet',
  ]);
  assert.equal(status, 0, stderr);
  const { recipe } = JSON.parse(stdout) as { recipe: Record<string, unknown> & { calibration: { method: string } } };
  assert.deepEqual(
    [recipe['mode'], recipe['target'], recipe.calibration.method, recipe['exclude'], recipe['include']],
    ['static', 'onnxruntime', 'percentile', ['op:Gemm'], ['block*', 'stem*']],
  );
  const saved = file('saved.json', JSON.stringify(recipe));
  assert.equal((await cli(['quantize', examplePath, '-o', 'again.onnx', ...quick, '--recipe', saved, '-q'])).status, 0);
  assert.deepEqual(readFileSync(at('again.onnx')), readFileSync(at('asked.onnx')));
});

void test('--external-data keeps the weights beside the model, which loads again from there', async () => {
  const { status, stderr } = await cli([
    'quantize',
    examplePath,
    '-o',
    'outside.onnx',
    '--mode',
    'weight_only',
    '--external-data',
    '-q',
  ]);
  assert.equal(status, 0, stderr);
  assert.ok(existsSync(at('outside.onnx_data')));
  const info = JSON.parse((await cli(['inspect', 'outside.onnx', '--json'])).stdout) as { externalBytes: number };
  assert.equal(info.externalBytes, statSync(at('outside.onnx_data')).size);
  rmSync(at('outside.onnx_data'));
  await fails(['run', 'outside.onnx', '--input', `image=${join(images, '000.png')}`, ...pictures], 3, 'bad_external_data');
});

void test('broken models end with 3 and one line, and leave no output', async () => {
  const whole = exampleBytes();
  const cases: readonly (readonly [string, Uint8Array | string, string])[] = [
    ['empty.onnx', new Uint8Array(0), 'bad_model'],
    ['text.onnx', 'this is no model\n', 'bad_model'],
    ['truncated.onnx', whole.slice(0, whole.length - 1000), 'bad_model'],
    ['four-gigabytes.onnx', Uint8Array.of(0x08, 8, 0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f, 1, 2, 3), 'bad_model'],
    [
      'cycle.onnx',
      graphModel(
        [
          { op: 'Relu', inputs: ['b'], outputs: ['a'] },
          { op: 'Relu', inputs: ['a'], outputs: ['b'] },
        ],
        ['x'],
        ['b'],
      ),
      'bad_graph',
    ],
  ];
  for (const [name, content, code] of cases) {
    const path = file(name, content);
    await fails(['quantize', path, '-o', 'out.onnx', '--mode', 'weight_only'], 3, code, 'out.onnx');
    await fails(['inspect', path], 3, code);
  }
  await fails(['inspect', 'no-such.onnx'], 1, 'io_failed');
  const asJson = await cli(['inspect', at('empty.onnx'), '--json']);
  assert.equal((JSON.parse(asJson.stdout) as { error: { code: string } }).error.code, 'bad_model');
});

void test('an operator that is missing ends with 5 before work starts, and is named', async () => {
  const path = file('odd.onnx', graphModel([{ op: 'Frobnicate', inputs: ['x'], outputs: ['y'] }], ['x'], ['y']));
  const sample = file('x.npy', writeNpy({ dtype: 'f32', shape: [1, 4], data: new Float32Array(4) }));
  assert.match(await fails(['run', path, '--input', `x=${sample}`], 5, 'unsupported'), /Frobnicate/);
  assert.match(
    await fails(['quantize', path, '-o', 'out.onnx', '--calibrate', sample], 5, 'unsupported', 'out.onnx'),
    /Frobnicate/,
  );
});

void test('samples that do not decode end with 1 and the name of the file', async () => {
  mkdirSync(at('bad-images'), { recursive: true });
  file('bad-images/broken.png', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0, 0));
  assert.match(
    await fails(
      ['quantize', examplePath, '-o', 'out.onnx', '--calibrate', at('bad-images'), ...pictures],
      1,
      'bad_data',
      'out.onnx',
    ),
    /broken\.png/,
  );
  mkdirSync(at('no-images'), { recursive: true });
  await fails(['quantize', examplePath, '-o', 'out.onnx', '--calibrate', at('no-images')], 1, 'bad_data', 'out.onnx');
  await fails(['quantize', examplePath, '-o', 'out.onnx', '--calibrate', at('nowhere')], 1, 'io_failed', 'out.onnx');
  const odd = file('odd.npy', writeNpy({ dtype: 'f32', shape: [3, 5], data: new Float32Array(15) }));
  await fails(['quantize', examplePath, '-o', 'out.onnx', '--calibrate', odd], 1, 'bad_data', 'out.onnx');
  const badLabels = file('labels.csv', 'file,class_index\n000.png,one\n');
  assert.match(
    await fails(['quantize', examplePath, '-o', 'out.onnx', ...quick, '--labels', badLabels], 1, 'bad_data', 'out.onnx'),
    /line 2/,
  );
});

void test('patterns that match nothing, nothing quantized, not smaller and a missed target have exit codes of their own', async () => {
  await fails(
    ['quantize', examplePath, '-o', 'out.onnx', ...quick, '--exclude', 'op:Nothing'],
    2,
    'pattern_unmatched',
    'out.onnx',
  );
  await fails(
    ['quantize', examplePath, '-o', 'out.onnx', '--mode', 'weight_only', '--include', 'op:Clip'],
    6,
    'nothing_quantized',
    'out.onnx',
  );
  const tiny = file(
    'tiny.onnx',
    graphModel([{ op: 'MatMul', inputs: ['x', 'w'], outputs: ['y'] }], ['x'], ['y'], { name: 'w', shape: [4, 4] }),
  );
  const tinySample = file('tiny.npy', writeNpy({ dtype: 'f32', shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) }));
  await fails(['quantize', tiny, '-o', 'out.onnx', '--calibrate', tinySample], 7, 'not_smaller', 'out.onnx');
  const larger = await cli(['quantize', tiny, '-o', 'larger.onnx', '--calibrate', tinySample, '--allow-larger']);
  assert.equal(larger.status, 0, larger.stderr);
  assert.match(larger.stdout + larger.stderr, /the result has \d+ bytes, the input \d+/);
  assert.match(
    (await cli(['quantize', examplePath, '-o', 'unmeasured.onnx', '--mode', 'weight_only', '--max-drop', '1'])).stderr,
    /accuracy_missed/,
  );
});

void test('an accuracy target that is missed ends with 4', async () => {
  // Calibrated on one grey picture: all that is brighter or darker is clipped.
  const grey = file(
    'grey.npy',
    writeNpy({ dtype: 'f32', shape: [1, 3, 64, 64], data: new Float32Array(3 * 64 * 64).fill(-0.01) }),
  );
  const words = ['quantize', examplePath, '-o', 'clipped.onnx', '--calibrate', grey, ...pictures, ...labelled, '--max-drop', '2'];
  await fails(words, 4, 'accuracy_missed');
});

void test('Ctrl-C ends with 130 and leaves nothing behind', async () => {
  const before = readdirSync(folder).sort();
  let isKilled = false;
  const ended = await cli(
    [
      'quantize',
      examplePath,
      '-o',
      'stopped.onnx',
      '--calibrate',
      images,
      '--calibrate',
      join(exampleFolder, 'eval'),
      ...pictures,
    ],
    {
      onStderr: (text, kill) => {
        if (isKilled || !/calibrate: 0\//.test(text)) return;
        isKilled = true;
        kill('SIGINT');
      },
    },
  );
  assert.equal(ended.status, 130, ended.stderr);
  assert.match(ended.stderr, /bitwright: aborted: /);
  assert.deepEqual(readdirSync(folder).sort(), before);
});

void test('a reader of stdout that went away is no failure', async () => {
  const ended = await cli(['inspect', examplePath], { closesStdout: true });
  assert.equal(ended.status, 0, ended.stderr);
});

void test('colours are for terminals, and NO_COLOR wins', async () => {
  const words = ['quantize', examplePath, '-o', 'colour.onnx', ...quick, '-f', '-q'];
  // eslint-disable-next-line no-control-regex
  const hasColor = (text: string) => /\x1b\[/.test(text);
  assert.equal(hasColor((await cli(words)).stdout), false);
  assert.equal(hasColor((await cli(words, { env: { FORCE_COLOR: '1' } })).stdout), true);
  assert.equal(hasColor((await cli(words, { env: { FORCE_COLOR: '1', NO_COLOR: '1' } })).stdout), false);
});

void test('compare measures two models, run runs one, and both speak JSON', async () => {
  const small = at('compared.onnx');
  assert.equal((await cli(['quantize', examplePath, '-o', small, '--mode', 'weight_only', '-q'])).status, 0);
  const samples = ['--calibrate', join(exampleFolder, 'eval'), '--labels', join(exampleFolder, 'eval/labels.csv'), ...pictures];
  const { stdout, status, stderr } = await cli(['compare', examplePath, small, ...samples, '--json']);
  assert.equal(status, 0, stderr);
  const comparison = JSON.parse(stdout) as { samples: number; accuracy: { reference: { count: number } } };
  assert.deepEqual([comparison.samples, comparison.accuracy.reference.count], [96, 87]);
  assert.match((await cli(['compare', examplePath, small, ...samples, '--limit', '4'])).stdout, /SQNR/);

  const words = ['run', examplePath, '--input', `image=${join(exampleFolder, 'eval/000.png')}`, ...pictures];
  const run = await cli([...words, '--json', '--profile', '-o', 'outputs']);
  assert.equal(run.status, 0, run.stderr);
  const { outputs, profile } = JSON.parse(run.stdout) as {
    outputs: { logits: { shape: number[]; data: number[] } };
    profile: unknown[];
  };
  assert.deepEqual(outputs.logits.shape, [1, 16]);
  assert.equal(outputs.logits.data.indexOf(Math.max(...outputs.logits.data)), 0);
  assert.ok(profile.length > 0);
  assert.ok(existsSync(at('outputs/logits.npy')));
  assert.match((await cli(words)).stdout, /logits/);
});

void test('explain tells how each step is computed, bench how long a run takes', async () => {
  const coded = at('coded.onnx');
  const calibration = ['--calibrate', join(exampleFolder, 'images'), '--limit', '4', ...pictures];
  assert.equal((await cli(['quantize', examplePath, '-o', coded, '-q', ...calibration])).status, 0);
  const explained = await cli(['explain', coded, '--json']);
  assert.equal(explained.status, 0, explained.stderr);
  const { info, rows } = JSON.parse(explained.stdout) as {
    info: { arithmetic: string; integer: boolean };
    rows: { opType: string; integer: boolean; kernel: string; reason: string }[];
  };
  assert.deepEqual([info.arithmetic, info.integer], ['fast', true]);
  assert.ok(rows.some(({ opType, integer, kernel }) => opType === 'Conv' && integer && kernel !== ''));
  assert.ok(rows.every(({ integer, reason }) => integer || reason !== ''));
  assert.match((await cli(['explain', coded, '--arithmetic', 'integer_only'])).stdout, /integer_only.*\n[^]*steps on codes/);

  const bench = await cli(['bench', coded, '--runs', '2', '--json']);
  assert.equal(bench.status, 0, bench.stderr);
  const { rows: engines } = JSON.parse(bench.stdout) as { rows: { name: string; medianMs: number; runs: number }[] };
  assert.deepEqual(
    engines.map(({ name, runs }) => [name, runs]),
    [['bitwright', 2]],
  );
  assert.ok((engines[0]?.medianMs ?? 0) > 0);
  assert.match(await fails(['bench', coded, '--peer', 'tensorflow'], 2, 'usage'), /--peer is 'tensorflow'/);
  assert.match(await fails(['explain', coded, '--arithmetic', 'exact'], 2, 'usage'), /--arithmetic is 'exact'/);
});

void test('schemes lists what inspect takes, and inspect shows what a scheme makes of a tensor', async () => {
  const list = await cli(['schemes', '--json']);
  assert.equal(list.status, 0);
  const names = (JSON.parse(list.stdout) as { name: string }[]).map(({ name }) => name);
  for (const name of ['i8', 'nf4', 'mxfp4', 'nvfp4', 'kmeans16', 'bcq2', 'ternary', 'binary', 'pq4'])
    assert.ok(names.includes(name));
  assert.match((await cli(['schemes'])).stdout, /nf4 +4 +per_block 64/);
  const info = await cli(['inspect', examplePath, '--json']);
  const { tensors } = JSON.parse(info.stdout) as { tensors: { name: string; shape: number[] }[] };
  const tensor = tensors.find(({ shape }) => shape.length === 4)?.name ?? '';
  const shown = await cli(['inspect', examplePath, '--tensor', tensor, '--scheme', 'nf4']);
  assert.equal(shown.status, 0);
  assert.match(shown.stdout, /as nf4: nf4, 4 bits/);
  assert.match(shown.stdout, /SQNR \d+\.\d dB/);
  assert.match(shown.stdout, /[▁▂▃▄▅▆▇█]/);
  assert.match(shown.stdout, /┴/);
  // As quantize would have it: blocks where the input channels are enough for one.
  const granularityOf = async (name: string): Promise<string> => {
    const json = await cli(['inspect', examplePath, '--tensor', name, '--scheme', 'i4_b32', '--block-size', '16', '--json']);
    const report = JSON.parse(json.stdout) as { bits: number; granularity: string };
    assert.equal(report.bits, 4);
    return report.granularity;
  };
  const deep = tensors.find(({ shape }) => shape.length === 4 && (shape[1] ?? 0) >= 16)?.name ?? '';
  assert.match(await granularityOf(deep), /block_size=16/);
  assert.equal(await granularityOf(tensor), 'per_channel(axis=0)');
  assert.equal((await cli(['inspect', examplePath, '--scheme', 'nf4'])).status, 2);
  const parts = ['symmetric=true', 'narrowRange=true', 'scaleForm=f16', 'clipping=percentile', 'percentile=99.5', 'seed=3'];
  const words = parts.flatMap((part) => ['--set', part]);
  const changed = ['inspect', examplePath, '--tensor', tensor, '--scheme', 'u8_b32', '--block-size', '16', ...words, '--json'];
  const parted = JSON.parse((await cli(changed)).stdout) as import('../../web/src/node.js').SchemeReport;
  assert.deepEqual(
    [parted.symmetric, parted.qmin, parted.scaleForm, parted.clipping, parted.percentile, parted.seed],
    [true, 1, 'f16', 'percentile', 99.5, 3],
  );
  for (const [part, finding] of [
    ['colour=1', /--set colour is not a known key; known are bits, symmetric, .*columnGroup/],
    ['bits', /--set is 'bits'; KEY=VALUE is needed/],
    ['bits=many', /--set bits must be a whole number/],
    ['channelGroup=2.5', /--set channelGroup must be a whole number/],
    ['rounding=up', /--set rounding must be one of nearest_even, stochastic, floor, mask/],
    ['blockSize=8', /--set blockSize is given twice/],
  ] as const) {
    const bad = await cli([...changed, '--set', part]);
    assert.equal(bad.status, 2, part);
    assert.match(bad.stderr, finding);
  }
  const yes = await cli(['inspect', examplePath, '--tensor', tensor, '--set', 'symmetric=yes']);
  assert.match(yes.stderr, /--set symmetric must be true or false/);
  assert.match((await cli(['inspect', '--help'])).stdout, /--set KEY=VALUE.*--set entries=64 --set columnGroup=8/s);
  assert.equal((await cli(['inspect', examplePath, '--tensor', 'nobody'])).status, 2);
});

interface Inspected {
  readonly operators: readonly { readonly opType: string; readonly count: number }[];
}
type Counts = Readonly<Record<string, number>>;
const countsOf = ({ operators }: Inspected): Counts => Object.fromEntries(operators.map(({ opType, count }) => [opType, count]));
const operatorsOf = async (path: string): Promise<Counts> =>
  countsOf(JSON.parse((await cli(['inspect', path, '--json'])).stdout) as Inspected);

void test('convert goes from one form to the other and back, dequantize to floats, each into a file of its own', async () => {
  const codes = at('forms.onnx');
  assert.equal((await cli(['quantize', examplePath, '-o', codes, ...quick])).status, 0);
  const before = readFileSync(codes);
  const there = await cli(['convert', codes, '--format', 'qoperator']);
  assert.equal(there.status, 0, there.stderr);
  assert.match(there.stderr, /wrote .*forms_qoperator\.onnx/);
  const integer = await operatorsOf(at('forms_qoperator.onnx'));
  assert.ok((integer['QLinearConv'] ?? 0) > 10, JSON.stringify(integer));
  const back = await cli(['convert', at('forms_qoperator.onnx'), '--format', 'qdq', '-o', at('back.onnx'), '--json']);
  assert.equal(back.status, 0, back.stderr);
  const told = JSON.parse(back.stdout) as Inspected & { readonly before: number; readonly after: number };
  assert.equal(told.after, statSync(at('back.onnx')).size);
  assert.deepEqual(countsOf(told), await operatorsOf(at('back.onnx')));
  assert.equal(countsOf(told)['QLinearConv'], undefined);

  const floats = await cli(['dequantize', codes]);
  assert.equal(floats.status, 0, floats.stderr);
  const plain = await operatorsOf(at('forms_float.onnx'));
  assert.equal(plain['DequantizeLinear'], undefined, JSON.stringify(plain));
  assert.ok(statSync(at('forms_float.onnx')).size > 2 * before.length);

  assert.deepEqual(readFileSync(codes), before);
  assert.equal((await cli(['convert', codes])).status, 2);
  assert.equal((await cli(['convert', codes, '--format', 'onnx'])).status, 2);
  assert.equal((await cli(['convert', codes, '--format', 'qdq', '-o', codes, '--force'])).status, 2);
  assert.equal((await cli(['dequantize', codes, '-o', at('back.onnx')])).status, 2);
  assert.equal((await cli(['dequantize', examplePath, '-o', at('twice.onnx')])).status, 6);
  assert.ok(!existsSync(at('twice.onnx')));
});

void test('--format and --scheme reach the file', async () => {
  const integer = at('integer.onnx');
  assert.equal((await cli(['quantize', examplePath, '-o', integer, '--format', 'qoperator', ...quick])).status, 0);
  assert.ok(((await operatorsOf(integer))['QLinearConv'] ?? 0) > 10);
  for (const [scheme, opType] of [
    ['i8', 'DequantizeLinear'],
    ['nf4', 'Gather'],
  ] as const) {
    const out = at(`${scheme}.onnx`);
    const ended = await cli(['quantize', examplePath, '-o', out, '--mode', 'weight_only', '--scheme', scheme]);
    assert.equal(ended.status, 0, ended.stderr);
    assert.ok(((await operatorsOf(out))[opType] ?? 0) > 10, scheme);
    assert.ok(statSync(out).size < exampleBytes().length);
  }
  const weighed = ['quantize', examplePath, '-o', at('weighed.onnx'), '--scheme', 'i4_b32', '--clipping', 'output_error'];
  const unseen = await cli(weighed);
  assert.equal(unseen.status, 2);
  assert.match(unseen.stderr, /--calibrate PATH is needed for clipping output_error/);
  assert.ok(!existsSync(at('weighed.onnx')));
  const seen = await cli([...weighed, ...quick, '--json']);
  assert.equal(seen.status, 0, seen.stderr);
  const report = JSON.parse(seen.stdout) as import('../../web/src/node.js').Report;
  assert.deepEqual(report.recipe.weight.overrides, { clipping: 'output_error' });
  assert.ok(report.nodes.filter(({ isQuantized }) => isQuantized).length > 10);
  const set = [
    'quantize',
    examplePath,
    '-o',
    at('set.onnx'),
    '--scheme',
    'i4',
    '--set',
    'channelGroup=4',
    '--set',
    'rounding=floor',
  ];
  const grouped = await cli([...set, '--json']);
  assert.equal(grouped.status, 0, grouped.stderr);
  const told = JSON.parse(grouped.stdout) as import('../../web/src/node.js').Report;
  assert.deepEqual(told.recipe.weight.overrides, { channelGroup: 4, rounding: 'floor' });
  assert.ok(told.tensors.some(({ granularity }) => /group/.test(granularity)));
  for (const [words, finding] of [
    [['--scheme', 'i4', '--set', 'colour=1'], /--set colour is not a known key; known are bits, symmetric/],
    [['--scheme', 'i4', '--clipping', 'mse', '--set', 'clipping=mse'], /--set clipping is given twice/],
    [['--set', 'bits=3'], /--set changes a part of a scheme; give --scheme NAME too/],
  ] as const) {
    const bad = await cli(['quantize', examplePath, '-o', at('none.onnx'), ...words]);
    assert.equal(bad.status, 2, bad.stderr);
    assert.match(bad.stderr, finding);
  }
  const unknown = await cli(['quantize', examplePath, '-o', at('none.onnx'), '--mode', 'weight_only', '--scheme', 'nf5']);
  assert.equal(unknown.status, 2);
  assert.match(unknown.stderr, /nf5/);
  assert.ok(!existsSync(at('none.onnx')));
});
