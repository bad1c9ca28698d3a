/** Cases of the list of bad inputs that concern files of the host, samples, pictures and recipes; the others are tests/**\/bad_*_test.cpp. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { createSession, inspect, loadModel, quantize, type Toolkit } from '../../web/src/node.js';
import { externalFiles } from '../../web/src/cli/external.js';
import { parseRecipeJson } from '../../web/src/recipe.js';
import { decodeImage } from '../../web/src/samples/decode-image.js';
import { readNpy, writeNpy } from '../../web/src/samples/npy.js';
import { readNpz } from '../../web/src/samples/npz.js';
import { browserPlatform } from '../../web/src/platform-browser.js';
import { bytesField, joined, matMulModel } from '../support/wire.js';
import { mutations } from './support/mutations.js';
import { graphModel, modelFile, valueInfo } from './support/onnx-file.js';
import { npyFile } from './support/npy-file.js';
import { zipFile } from './support/zip-file.js';
import { withToolkit } from './support/toolkit.js';

/** What a bad input may take: ten times the second of processor time, and the 200 MB that are promised. */
const maxMs = 10_000;
const maxBytes = 200 * 1024 * 1024;

async function within<T>(work: () => T | Promise<T>): Promise<T> {
  const before = process.memoryUsage().rss;
  const started = process.cpuUsage();
  try {
    return await work();
  } finally {
    assert.ok(process.cpuUsage(started).user / 1000 < maxMs, 'it takes too long');
    assert.ok(process.memoryUsage().rss - before < maxBytes, 'it takes too much memory');
  }
}

const refused = async (work: () => unknown, codes: readonly string[], wording = /./): Promise<void> => {
  await within(() =>
    assert.rejects(
      async () => {
        await work();
      },
      (error: { code?: string; message: string }) => {
        assert.ok(codes.includes(error.code ?? ''), `${String(error.code)}: ${error.message}`);
        assert.match(error.message, wording);
        assert.equal(error.message.includes('\n'), false);
        return true;
      },
    ),
  );
};

const weights = new Uint8Array(new Float32Array(64 * 64).buffer);
const modelWith = (location: string): Uint8Array => matMulModel([{ name: 'w', k: 64, n: 64, offset: 0 }], location);

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-bad-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Loads and quantizes, so that the values are read too. */
async function use(toolkit: Toolkit, path: string, external: Record<string, string> = {}): Promise<void> {
  const model = await loadModel(toolkit, path, { external });
  try {
    (await quantize(model, { recipe: 'weight_only', evaluation: false })).dispose();
  } finally {
    model.dispose();
  }
}

void test('bad input 26: names that leave the folder are refused in a folder where the file is there', async () => {
  await inFolder(async (folder) => {
    mkdirSync(join(folder, 'sub'));
    writeFileSync(join(folder, 'w.bin'), weights);
    await withToolkit(async (toolkit) => {
      for (const name of [
        '../w.bin',
        'a/../../w.bin',
        join(folder, 'w.bin'),
        'C:\\w.bin',
        '\\\\host\\w.bin',
        'w.bin\0.txt',
        '',
      ]) {
        const path = join(folder, 'sub', 'model.onnx');
        writeFileSync(path, modelWith(name));
        await refused(() => use(toolkit, path), ['bad_external_data'], /inside the model's folder/);
      }
      writeFileSync(join(folder, 'sub', 'model.onnx'), modelWith('%2e%2e/w.bin'));
      await refused(() => use(toolkit, join(folder, 'sub', 'model.onnx')), ['bad_external_data'], /not given/);
      writeFileSync(join(folder, 'model.onnx'), modelWith('./w.bin'));
      await use(toolkit, join(folder, 'model.onnx'));
    });
  });
});

void test('bad input 27: links in the last and in a parent part, hard links, fifos, devices and folders are refused with the way out', async () => {
  await inFolder(async (folder) => {
    const outside = join(folder, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'w.bin'), weights);
    const made = join(folder, 'here');
    mkdirSync(made);
    const path = join(made, 'model.onnx');
    symlinkSync(join(outside, 'w.bin'), join(made, 'last.bin'));
    symlinkSync(outside, join(made, 'parent'));
    linkSync(join(outside, 'w.bin'), join(made, 'hard.bin'));
    execFileSync('mkfifo', [join(made, 'fifo.bin')]);
    symlinkSync('/dev/zero', join(made, 'zero.bin'));
    mkdirSync(join(made, 'folder.bin'));
    await withToolkit(async (toolkit) => {
      for (const name of ['last.bin', 'parent/w.bin', 'hard.bin', 'fifo.bin', 'zero.bin', 'folder.bin']) {
        writeFileSync(path, modelWith(name));
        await refused(() => use(toolkit, path), ['bad_external_data'], /--external-root/);
      }
      // Named by the caller a link is followed: download caches keep models as links.
      writeFileSync(path, modelWith('last.bin'));
      await use(toolkit, path, { 'last.bin': join(made, 'last.bin') });
      assert.deepEqual(Object.keys(externalFiles(path, made)), ['hard.bin'], 'what resolves inside it');
      assert.ok('here/last.bin' in externalFiles(path, folder));
      // What the caller names must be a file all the same.
      writeFileSync(path, modelWith('fifo.bin'));
      await refused(() => use(toolkit, path, { 'fifo.bin': join(made, 'fifo.bin') }), ['io_failed'], /not a regular file/);
      await refused(() => use(toolkit, '/dev/zero'), ['io_failed'], /not a regular file/);
    });
  });
});

void test('bad input 30: a file that becomes shorter while it is used is an error, not other bytes', async () => {
  await inFolder(async (folder) => {
    const path = join(folder, 'model.onnx');
    writeFileSync(path, modelWith('w.bin'));
    writeFileSync(join(folder, 'w.bin'), weights);
    await withToolkit(async (toolkit) => {
      const model = await loadModel(toolkit, path);
      truncateSync(join(folder, 'w.bin'), 1000);
      await refused(() => quantize(model, { recipe: 'weight_only' }), ['io_failed'], /became shorter/);
      model.dispose();
      await refused(() => use(toolkit, path), ['bad_external_data'], /lie outside/);
    });
  });
});

void test('bad input 32: without a path only files that were given are opened, by their exact names', async () => {
  await withToolkit(async (toolkit) => {
    const open = async (external: Record<string, Uint8Array>): Promise<void> => {
      const model = await loadModel(toolkit, modelWith('sub/w.bin'), { external });
      try {
        (await quantize(model, { recipe: 'weight_only' })).dispose();
      } finally {
        model.dispose();
      }
    };
    await open({ 'sub/w.bin': weights });
    for (const name of ['w.bin', 'sub/W.bin', './sub/w.bin', 'sub\\w.bin', '__proto__'])
      await refused(() => open({ [name]: weights }), ['bad_external_data'], /not given/);
    await refused(() => open({ 'sub/w.bin': weights.slice(1) }), ['bad_external_data'], /lie outside/);
  });
  assert.equal(browserPlatform.openSibling({ kind: 'path', path: '/tmp/model.onnx', name: 'model.onnx' }, 'w.bin'), null);
  assert.throws(() => browserPlatform.openSource({ kind: 'path', path: '/etc/passwd', name: 'passwd' }), {
    code: 'invalid_argument',
  });
});

void test('bad input 38: a million nodes, and a tensor with a million consumers, are loaded and inspected in seconds', async () => {
  const count = 1_000_000;
  const node = bytesField(1, joined([bytesField(1, 'x'), bytesField(2, ''), bytesField(4, 'Relu')]));
  const fan = new Uint8Array(node.length * count);
  for (let i = 0; i < count; ++i) fan.set(node, i * node.length);
  const links: Buffer[] = [];
  for (let i = 0; i < count; ++i) {
    const from = i === 0 ? 'x' : `v${i - 1}`;
    const body = `\x0a${String.fromCharCode(from.length)}${from}\x12${String.fromCharCode(`v${i}`.length)}v${i}\x22\x04Relu`;
    links.push(Buffer.from(`\x0a${String.fromCharCode(body.length)}${body}`, 'latin1'));
  }
  await withToolkit(async (toolkit) => {
    for (const nodes of [fan, new Uint8Array(Buffer.concat(links))]) {
      const bytes = modelFile([nodes, bytesField(11, valueInfo('x', [1, 4]))]);
      const started = process.cpuUsage();
      const model = await loadModel(toolkit, bytes);
      assert.equal((await inspect(model)).nodes, count);
      const { user, system } = process.cpuUsage(started);
      const seconds = (user + system) / 1e6;
      console.log(`a million nodes: ${seconds.toFixed(1)} s`);
      assert.ok(seconds < 50, `${seconds} s`); // 5 s are promised; ten times that is a hang; other processes do not count
      model.dispose();
    }
  });
});

void test('bad input 46: inputs and outputs called __proto__ and constructor cross the border like others', async () => {
  const bytes = graphModel([{ op: 'Relu', inputs: ['__proto__'], outputs: ['constructor'] }], ['__proto__'], ['constructor']);
  const back = graphModel([{ op: 'Relu', inputs: ['constructor'], outputs: ['__proto__'] }], ['constructor'], ['__proto__']);
  const tensor = { dtype: 'f32', shape: [1, 4], data: Float32Array.of(-1, 2, -3, 4) } as const;
  await withToolkit(async (toolkit) => {
    for (const [model, input, output] of [
      [bytes, '__proto__', 'constructor'],
      [back, 'constructor', '__proto__'],
    ] as const) {
      const loaded = await loadModel(toolkit, model);
      const session = await createSession(loaded);
      const outputs = await session.run(Object.fromEntries([[input, tensor]]));
      assert.deepEqual(Object.keys(outputs), [output]);
      const found = Object.entries(outputs)[0]?.[1];
      assert.deepEqual([...(found?.data ?? [])], [0, 2, 0, 4]);
      session.dispose();
      loaded.dispose();
    }
  });
});

const header = (descr: string, order: string, shape: string) =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
const floats = (...values: number[]) => new Uint8Array(new Float32Array(values).buffer);

void test('bad input 47: npy files with wrong magic, lying lengths, expressions, objects and odd orders are refused or read right', async () => {
  const cases: readonly Uint8Array[] = [
    new Uint8Array(0),
    new TextEncoder().encode('\x92NUMPY'),
    npyFile(header('<f4', 'False', '(1,)'), floats(1), 4),
    npyFile(header('<f4', 'False', '(2,)'), floats(1)),
    npyFile(header('<f4', 'False', '(-1,)'), floats(1)),
    npyFile(header('<f4', 'False', '(1e9,)'), floats(1)),
    npyFile(header('<f8', 'False', `(${'9'.repeat(400)},)`), floats(1, 2)),
    npyFile(header('<f4', 'False', '(9007199254740993, 0)'), floats(1)),
    npyFile(header('|O', 'False', '(1,)'), floats(1, 2)),
    npyFile(header('<f4', "__import__('os')", '(1,)'), floats(1)),
    npyFile(`(lambda: ${header('<f4', 'False', '(1,)')})()`, floats(1)),
  ];
  for (const bytes of cases) await refused(() => readNpy(bytes, 'x.npy'), ['bad_data'], /^x\.npy: /);
  assert.deepEqual([...readNpy(npyFile(header('>u2', 'False', '(2,)'), Uint8Array.of(1, 0, 0, 1)), 'x').data], [256, 1]);
  assert.deepEqual([...readNpy(npyFile(header('<f4', 'True', '(2, 2)'), floats(1, 3, 2, 4)), 'x').data], [1, 2, 3, 4]);
});

const array = writeNpy({ dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) });

void test('bad input 48: npz bombs, paths, duplicates, lies of zip64 and encrypted entries are refused', async () => {
  const bomb = new Uint8Array(100 * 1024 * 1024);
  const cases: readonly (readonly [Uint8Array, RegExp])[] = [
    [zipFile([{ name: 'a.npy', content: bomb, toldSize: 2 ** 31 }]), /pass the limit/],
    [zipFile([{ name: 'a.npy', content: bomb, toldSize: 1000 }]), /size in the directory|cannot be decompressed/],
    [zipFile([{ name: '../../a.npy', content: Uint8Array.of(1) }]), /not a \.npy/],
    [
      zipFile([
        { name: 'a.npy', content: array },
        { name: 'a.npy', content: array },
      ]),
      /two entries/,
    ],
    [
      zipFile([
        { name: 'a.npy', content: array },
        { name: 'a', content: array },
      ]),
      /two entries/,
    ],
    [zipFile([{ name: 'a.npy', content: array }], { offset: 0xffffffff }), /zip64/],
    [zipFile([{ name: 'a.npy', content: array, flags: 1 }]), /encrypted/],
    [zipFile([{ name: 'a.npy', content: array }], { count: 1024 }), /broken/],
  ];
  for (const [bytes, wording] of cases) await refused(() => readNpz(bytes, 'x.npz'), ['bad_data'], wording);
  // Names are keys and nothing else: no path is ever made of them.
  assert.deepEqual(Object.keys(readNpz(zipFile([{ name: '../../a.npy', content: array }]), 'x')), ['../../a']);
});

const fixture = (name: string) => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)));

void test('bad input 52: pictures that are truncated, promise 65535 x 65535, are CMYK, of 16 bits or animated are refused or read', async () => {
  for (const name of ['rgb.png', 'photo.jpg', 'palette.png']) {
    const whole = fixture(name);
    for (const n of [1, 9, 30, whole.length >> 1, whole.length - 5])
      await within(() =>
        decodeImage(whole.slice(0, n), name, null).catch((error: { code?: string }) => {
          assert.equal(error.code, 'bad_data', String(error));
        }),
      );
  }
  const wide = fixture('rgb.png');
  new DataView(wide.buffer).setUint32(16, 65535);
  new DataView(wide.buffer).setUint32(20, 65535);
  await refused(() => decodeImage(wide, 'wide.png', null), ['bad_data'], /65535 x 65535/);
  assert.equal((await decodeImage(fixture('grey16.png'), 'grey16.png', null)).rgb.length % 3, 0);
  for (const [name, bytes] of [
    ['animated.gif', new TextEncoder().encode('GIF89a\x01\x00\x01\x00\x80')],
    ['cmyk.tif', Uint8Array.of(0x49, 0x49, 42, 0, 8, 0, 0, 0)],
    ['animated.webp', new TextEncoder().encode('RIFF\x10\0\0\0WEBPVP8X')],
  ] as const)
    await refused(() => decodeImage(bytes, name, null), ['bad_data'], /not a JPEG or PNG/);
  // A JPEG of four components, as CMYK has: its frame says so.
  const cmyk = fixture('photo.jpg');
  const frame = cmyk.findIndex((byte, i) => byte === 0xff && cmyk[i + 1] === 0xc0);
  cmyk[frame + 9] = 4;
  await within(() =>
    decodeImage(cmyk, 'cmyk.jpg', null).catch((error: { code?: string }) => {
      assert.equal(error.code, 'bad_data', String(error));
    }),
  );
});

void test('bad input 53: recipes that nest deeply, name __proto__ or hold huge numbers are refused and change nothing', async () => {
  for (const text of [
    `${'{"weight":'.repeat(100_000)}1${'}'.repeat(100_000)}`,
    '['.repeat(200_000),
    '{"__proto__": {"polluted": true}}',
    '{"weight": {"__proto__": {"polluted": true}}}',
    '{"constructor": {"prototype": {"polluted": true}}}',
    '{"seed": 1e400}',
    '{"seed": 18446744073709551616}',
    '{"weight": {"blockSize": 1e308}}',
    `{"include": ["${'*'.repeat(1001)}"]}`,
    'null',
    '"__proto__"',
    '\ufeff{}{}',
  ])
    await refused(() => parseRecipeJson(text), ['bad_recipe']);
  assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
});

void test('random changes of npy, npz and picture files are read or refused with bad_data, from a fixed seed', async () => {
  const npy = npyFile(header('<f4', 'False', '(2, 2)'), floats(1, 2, 3, 4));
  const npz = zipFile([
    { name: 'image.npy', content: array },
    { name: 'state.npy', content: array, method: 0 },
  ]);
  const tried: readonly (readonly [string, Uint8Array, number, (bytes: Uint8Array) => unknown])[] = [
    ['x.npy', npy, 20_000, (bytes) => readNpy(bytes, 'x.npy')],
    ['x.npz', npz, 20_000, (bytes) => readNpz(bytes, 'x.npz')],
    ['rgb.png', fixture('rgb.png'), 500, (bytes) => decodeImage(bytes, 'rgb.png', null)],
    ['palette.png', fixture('palette.png'), 500, (bytes) => decodeImage(bytes, 'palette.png', null)],
    ['photo.jpg', fixture('photo.jpg'), 300, (bytes) => decodeImage(bytes, 'photo.jpg', null)],
  ];
  for (const [name, whole, count, read] of tried) {
    for (const changed of mutations(whole, count, 1)) {
      try {
        await read(changed);
      } catch (error) {
        const { code, message } = error as { code?: string; message: string };
        if (code !== 'bad_data') {
          assert.fail(`${name}: ${String(code)} ${message}\n${Buffer.from(changed).toString('base64').slice(0, 4000)}`);
        }
      }
    }
  }
});
