/** Running out, cancelling, crashing, and many things at once. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { compare, createSession, inspect, loadModel, openToolkit, quantize, type Toolkit } from '../../web/src/node.js';
import { matMulModel, modelOf, bytesField, integer, joined } from '../support/wire.js';
import { exampleBytes, exampleFolder, examplePath, exampleSamples, loadExample } from './support/example.js';
import { moduleWithLessMemory } from './support/low-memory.js';
import { withToolkit } from './support/toolkit.js';

const program = fileURLToPath(new URL('../../web/dist/cli/main.js', import.meta.url));
const megabyte = 1024 * 1024;

async function inFolder(work: (folder: string) => Promise<void>): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-hard-'));
  try {
    await work(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** x [1, k] times a weight of k x n, which lies in the file. */
function productModel(k: number, n: number): Uint8Array {
  const values = Float32Array.from({ length: k * n }, (_, i) => ((i * 37) % 101) / 50 - 1);
  const tensor = joined([
    integer(1, k),
    integer(1, n),
    integer(2, 1),
    bytesField(8, 'w'),
    bytesField(9, new Uint8Array(values.buffer)),
  ]);
  return modelOf([{ name: 'w', k, n }], [bytesField(5, tensor)]);
}

void test('out of memory: with a low maximum the error is typed and names the bytes, and smaller work goes on as before', async () => {
  await inFolder(async (folder) => {
    let wanted: Uint8Array | undefined;
    await withToolkit(async (toolkit) => {
      const model = await loadModel(toolkit, productModel(256, 256));
      wanted = (await quantize(model, { recipe: 'weight_only' }).then((result) => (result.dispose(), result))).bytes;
      model.dispose();
    });
    const wasmUrl = moduleWithLessMemory(folder, 24 * megabyte);
    const toolkit = await openToolkit({ wasmUrl, variant: 'simd' });
    try {
      const large = productModel(1024, 4096); // 16 MB: the file fits, its run does not
      for (let round = 0; round < 3; ++round) {
        await assert.rejects(
          async () => {
            const model = await loadModel(toolkit, large);
            try {
              const session = await createSession(model);
              try {
                await session.run({ x: { dtype: 'f32', shape: [1, 1024], data: new Float32Array(1024) } });
              } finally {
                session.dispose();
              }
            } finally {
              model.dispose();
            }
          },
          (error: { code?: string; message: string }) => {
            assert.equal(error.code, 'out_of_memory', error.message);
            assert.match(error.message, /\d{5,} bytes/);
            return true;
          },
        );
        const model = await loadModel(toolkit, productModel(256, 256));
        const result = await quantize(model, { recipe: 'weight_only' });
        assert.deepEqual(result.bytes, wanted);
        result.dispose();
        model.dispose();
        assert.equal(await toolkit.liveHandles(), 0);
      }
    } finally {
      await toolkit.dispose();
    }
  });
});

void test('out of memory: whatever the maximum, a job ends well or with out_of_memory, and the toolkit serves again', async () => {
  await inFolder(async (folder) => {
    for (let pages = 70; pages < 400; pages += 30) {
      const place = join(folder, String(pages));
      mkdirSync(place);
      let toolkit: Toolkit;
      try {
        toolkit = await openToolkit({ wasmUrl: moduleWithLessMemory(place, pages * 65536), variant: 'simd' });
      } catch (error) {
        assert.match(String(error), /memory|cannot be loaded/); // the module itself needs more
        continue;
      }
      try {
        const model = await loadModel(toolkit, exampleBytes());
        const result = await quantize(model, { calibration: exampleSamples(model, 'images', 2), evaluation: false });
        result.dispose();
        model.dispose();
      } catch (error) {
        assert.equal((error as { code?: string }).code, 'out_of_memory', `${pages} pages: ${String(error)}`);
      }
      // A small model is read all the same.
      const small = await loadModel(toolkit, productModel(8, 8));
      assert.equal((await inspect(small)).nodes, 1);
      small.dispose();
      await toolkit.dispose();
    }
  });
});

void test('an abort at every progress step rejects with the reason, and leaves model and toolkit as they were', async () => {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const samples = exampleSamples(model, 'images', 3);
    let steps = 0;
    const whole = await quantize(model, { calibration: samples }, { onProgress: () => void ++steps });
    assert.ok(steps > 8, `${steps} steps`);
    for (let stop = 1; stop <= steps; ++stop) {
      const controller = new AbortController();
      const reason = new Error(`stopped at ${stop}`);
      let seen = 0;
      const onProgress = (): void => {
        if (++seen === stop) controller.abort(reason);
      };
      let isDone = false;
      try {
        const late = await quantize(model, { calibration: samples }, { signal: controller.signal, onProgress });
        isDone = true;
        late.dispose();
      } catch (error) {
        assert.equal(error, reason);
      }
      // Progress is told by the clock: a quicker run has fewer steps, and ends before the abort.
      assert.ok(!isDone || !controller.signal.aborted, `step ${stop} of ${steps} did not stop it`);
      assert.equal((await inspect(model)).nodes, 65);
    }
    const again = await quantize(model, { calibration: samples });
    assert.deepEqual(again.bytes, whole.bytes);
    for (const owned of [whole, again, model]) owned.dispose();
  });
});

void test('a worker that is killed rejects what is pending with a typed error, and another one is opened', async () => {
  const workers: Worker[] = [];
  const post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (this: Worker, ...args: Parameters<typeof post>) {
    if (!workers.includes(this)) workers.push(this);
    post.apply(this, args);
  } as typeof post;
  try {
    const toolkit = await openToolkit({ runIn: 'worker' });
    const model = await loadExample(toolkit);
    const pending = [
      quantize(model, { calibration: exampleSamples(model, 'images') }),
      inspect(model),
      loadModel(toolkit, exampleBytes()),
    ].map((call) => assert.rejects(call, { name: 'QuantError', code: 'toolkit_lost', message: /open a new toolkit/ }));
    await workers[0]?.terminate();
    await Promise.all(pending);
    await assert.rejects(inspect(model), { code: 'toolkit_lost' });
    model.dispose();
    await toolkit.dispose();
    await withToolkit(
      async (next) => {
        (await loadExample(next)).dispose();
      },
      { runIn: 'worker' },
    );
  } finally {
    Worker.prototype.postMessage = post;
  }
});

interface Ended {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

function cli(
  words: readonly string[],
  cwd: string,
  onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void,
  closesPipes = false,
) {
  return new Promise<Ended>((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words], { cwd, stdio: ['ignore', 'ignore', 'pipe'] });
    let stderr = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      onStderr?.(stderr, (signal) => child.kill(signal));
    });
    if (closesPipes) child.stderr.destroy();
    child.on('error', reject);
    child.on('close', (status, signal) => {
      resolve({ status, signal, stderr });
    });
  });
}

const job = ['quantize', examplePath, '-o', 'out.onnx', '--calibrate', join(exampleFolder, 'images'), '--preprocess', 'minus1_1'];

void test('SIGINT, SIGTERM and SIGKILL at any stage leave no output under its name, and the input as it was', async () => {
  await inFolder(async (folder) => {
    const before = readFileSync(examplePath);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
      for (const stage of [/calibrate: 0\//, /calibrate: [3-9]\//, /plan|insert|write|measure/]) {
        let isKilled = false;
        const ended = await cli(job, folder, (text, kill) => {
          if (isKilled || !stage.test(text)) return;
          isKilled = true;
          kill(signal);
        });
        // Killed so late that it was done: a whole file, or none.
        if (existsSync(join(folder, 'out.onnx'))) {
          await withToolkit(async (toolkit) => {
            (await loadModel(toolkit, join(folder, 'out.onnx'))).dispose();
          });
          rmSync(join(folder, 'out.onnx'));
        } else if (signal === 'SIGKILL') assert.equal(ended.signal, 'SIGKILL');
        else assert.equal(ended.status, 130, ended.stderr);
      }
    }
    assert.deepEqual(readFileSync(examplePath), before);
    // What a killed process left beside is taken away by the next run.
    writeFileSync(join(folder, '.out.onnx.999999999.abc.tmp'), 'left over');
    assert.equal((await cli([...job, '--limit', '2'], folder)).status, 0);
    assert.deepEqual(readdirSync(folder), ['out.onnx']);
  });
});

void test('SIGINT is answered while the core is at work, not when its call ends', { timeout: 60_000 }, async () => {
  await inFolder(async (folder) => {
    writeFileSync(join(folder, 'model.onnx'), productModel(4096, 4096));
    let isKilled = false;
    // Fitting 16 million weights by vectors is one call of minutes.
    const words = ['quantize', 'model.onnx', '-o', 'out.onnx', '--mode', 'weight_only', '--scheme', 'pq8'];
    const { status, stderr } = await cli(words, folder, (text, kill) => {
      if (isKilled || !text.includes('plan: 0/1')) return;
      isKilled = true;
      setTimeout(() => {
        kill('SIGINT');
      }, 500);
    });
    assert.equal(status, 130, stderr);
    assert.match(stderr, /bitwright: aborted: interrupted/);
    assert.deepEqual(readdirSync(folder), ['model.onnx']);
  });
});

void test('a closed pipe behind progress and result does not stop the work', async () => {
  await inFolder(async (folder) => {
    const { status } = await cli([...job, '--limit', '2'], folder, undefined, true);
    assert.equal(status, 0);
    assert.deepEqual(readdirSync(folder), ['out.onnx']);
  });
});

void test('a full disk is one typed error, and leaves nothing', async (context) => {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-full-'));
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', folder]).status !== 0) {
    rmSync(folder, { recursive: true });
    context.skip('no right to mount a small file system here');
    return;
  }
  try {
    const ended = await cli([...job, '--limit', '2', '--report', 'report.html'], folder);
    assert.equal(ended.status, 1, ended.stderr);
    assert.match(ended.stderr, /bitwright: io_failed: .*(ENOSPC|no space)/i);
    assert.deepEqual(readdirSync(folder), []);
  } finally {
    spawnSync('umount', [folder]);
    rmSync(folder, { recursive: true, force: true });
  }
});

void test('two toolkits and eight sessions on one model do not disturb each other', async () => {
  await withToolkit(async (one) => {
    await withToolkit(
      async (other) => {
        const model = await loadExample(one);
        const second = await loadExample(other);
        const [sample] = exampleSamples(model, 'eval', 1);
        assert.ok(sample !== undefined);
        const sessions = await Promise.all(Array.from({ length: 8 }, () => createSession(model)));
        const strange = await createSession(second);
        const results = await Promise.all([...sessions, strange].map((session) => session.run(sample)));
        for (const { logits } of results) assert.deepEqual(logits?.data, results[0]?.['logits']?.data);
        // One is disposed while others are at work.
        sessions[0]?.dispose();
        const rest = await Promise.all(sessions.slice(1).map((session) => session.run(sample)));
        for (const { logits } of rest) assert.deepEqual(logits?.data, results[0]?.['logits']?.data);
        for (const session of [...sessions, strange]) session.dispose();
        const { outputs } = await compare(model, model, exampleSamples(model, 'eval', 2));
        assert.equal(outputs[0]?.sqnr.isExact, true);
        model.dispose();
        second.dispose();
      },
      { runIn: 'worker' },
    );
  });
});

void test('a thousand times loading, running and disposing keep the memory level within 5 %', async () => {
  const bytes = matMulModel([{ name: 'w', k: 64, n: 64, offset: 0 }], 'w.bin');
  const external = { 'w.bin': new Uint8Array(64 * 64 * 4).fill(1) };
  const feed = { x: { dtype: 'f32', shape: [1, 64], data: new Float32Array(64).fill(1) } } as const;
  await withToolkit(async (toolkit) => {
    const level = (): Promise<number> => toolkit.heldBytes();
    let settled = 0;
    for (let i = 0; i < 1000; ++i) {
      const model = await loadModel(toolkit, bytes, { external });
      const session = await createSession(model);
      await session.run(feed);
      session.dispose();
      model.dispose();
      if (i === 100) settled = await level();
    }
    const end = await level();
    assert.ok(end <= settled * 1.05, `${settled} bytes after 100 rounds, ${end} after 1000`);
  });
});
