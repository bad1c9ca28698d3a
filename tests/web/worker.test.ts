import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createSession, inspect, loadModel, openToolkit, quantize, type Progress, type Toolkit } from '../../web/src/node.js';
import { isCancelledBy } from '../../web/src/worker/cancel.js';
import { openClient, type WorkerPort } from '../../web/src/worker/client.js';
import type { FromHost, ToHost } from '../../web/src/worker/protocol.js';
import { exampleBytes, exampleSamples, loadExample } from './support/example.js';
import { manyWeights } from './support/many-weights.js';
import { withToolkit } from './support/toolkit.js';

void test('a worker thread and the caller’s own thread give the same bytes, and the caller’s thread stays free', async () => {
  let direct: Uint8Array | undefined;
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const result = await quantize(model, { calibration: exampleSamples(model, 'images', 8), evaluation: false });
    direct = result.bytes;
    result.dispose();
    model.dispose();
  });
  await withToolkit(
    async (toolkit) => {
      const model = await loadExample(toolkit);
      let longestMs = 0;
      let lastMs = performance.now();
      const timer = setInterval(() => {
        const nowMs = performance.now();
        longestMs = Math.max(longestMs, nowMs - lastMs);
        lastMs = nowMs;
      }, 5);
      const result = await quantize(model, { calibration: exampleSamples(model, 'images', 8) });
      clearInterval(timer);
      assert.deepEqual(result.bytes, direct);
      assert.ok(longestMs < 500, `the caller's thread stood still for ${longestMs} ms`);
      result.dispose();
      model.dispose();
    },
    { runIn: 'worker' },
  );
});

void test('calls of one worker are answered in order, also when they are not waited for', async () => {
  await withToolkit(
    async (toolkit) => {
      const model = await loadExample(toolkit);
      const ended: number[] = [];
      await Promise.all(
        [1, 2, 3].map(async (i) => {
          await inspect(model);
          ended.push(i);
        }),
      );
      assert.deepEqual(ended, [1, 2, 3]);
      model.dispose();
    },
    { runIn: 'worker' },
  );
});

void test('an abort in a worker leaves the model usable', async () => {
  await withToolkit(
    async (toolkit) => {
      const model = await loadExample(toolkit);
      const calibration = exampleSamples(model, 'images');
      const stopped = quantize(model, { calibration }, { signal: AbortSignal.timeout(30) });
      await assert.rejects(stopped, { name: 'TimeoutError' });
      const result = await quantize(model, { calibration: calibration.slice(0, 2), evaluation: false });
      result.dispose();
      model.dispose();
    },
    { runIn: 'worker' },
  );
});

/** 256 entries fitted to each weight. */
const slowRecipe = { mode: 'weight_only', weight: { scheme: 'kmeans256' } } as const;

/** Abort in the midst of the core's steps; gives how far it had come then, and how far it came. */
async function abortAmidst(
  toolkit: Toolkit,
): Promise<{ readonly atAbort: number; readonly last: number; readonly total: number }> {
  const model = await loadModel(toolkit, manyWeights(96));
  const controller = new AbortController();
  let [atAbort, last, total] = [0, 0, 0];
  const onProgress = (progress: Progress): void => {
    if (progress.stage !== 'quantize weights') return;
    ({ done: last, total } = progress);
    if (last === 0 || controller.signal.aborted) return;
    atAbort = last;
    controller.abort();
  };
  const run = { signal: controller.signal, onProgress };
  await assert.rejects(quantize(model, { recipe: slowRecipe }, run), { name: 'AbortError' });
  await inspect(model); // behind what is left of it
  model.dispose();
  return { atAbort, last, total };
}

void test('an abort stops the core between two of its steps, in a worker and on the caller’s own thread', async () => {
  for (const runIn of ['worker', 'caller'] as const) {
    const { atAbort, last, total } = await withToolkit(abortAmidst, { runIn });
    assert.ok(atAbort > 0 && atAbort < total, `${runIn}: aborted at ${atAbort} of ${total}`);
    assert.ok(last < total, `${runIn}: aborted at ${atAbort}, it went on to the end, ${last} of ${total}`);
  }
});

void test('what waits in a worker when it is aborted is never begun', async () => {
  await withToolkit(
    async (toolkit) => {
      const model = await loadModel(toolkit, manyWeights(32));
      const first = quantize(model, { recipe: slowRecipe });
      const controller = new AbortController();
      let isBegun = false;
      const run = { signal: controller.signal, onProgress: () => (isBegun = true) };
      const request = {
        modelId: model.id,
        sink: { kind: 'bytes', expectedBytes: 0 },
        externalName: '',
        externalSink: null,
      } as const;
      const waiting = assert.rejects(toolkit.call('writeModel', request, run), { name: 'AbortError' });
      controller.abort();
      await waiting;
      (await first).dispose();
      assert.equal(isBegun, false);
      model.dispose();
    },
    { runIn: 'worker' },
  );
});

void test('an abort is told to the worker through memory of both where a signal is given', async () => {
  const { port, sent, answer } = puppet();
  const backend = await openClient(port, { wasmUrl: '', threads: 1, variant: 'auto' });
  const tokenOf = (signal?: AbortSignal) => {
    const pending = backend.call('liveHandles', {}, { signal });
    const message = sent.at(-1);
    assert.ok(message?.kind === 'call');
    return { pending, token: message.cancel, id: message.id };
  };
  const plain = tokenOf();
  assert.equal(plain.token, null);
  const controller = new AbortController();
  const { pending, token, id } = tokenOf(controller.signal);
  assert.ok(token?.kind === 'flag');
  assert.equal(isCancelledBy(token)(), false);
  controller.abort();
  assert.equal(isCancelledBy(token)(), true);
  for (const each of [plain.id, id]) answer({ kind: 'answer', id: each, answer: { handles: 0 }, lent: [] });
  await Promise.all([plain.pending, pending]);
});

void test('errors of the core come out of a worker with their code, and do not end it', async () => {
  await withToolkit(
    async (toolkit) => {
      await assert.rejects(loadModel(toolkit, new Uint8Array(3)), { name: 'QuantError', code: 'bad_model' });
      const reader = { sizeBytes: 1, read: () => undefined };
      await assert.rejects(loadModel(toolkit, reader), { code: 'invalid_argument' });
      (await loadExample(toolkit)).dispose();
    },
    { runIn: 'worker' },
  );
});

void test('a disposed toolkit refuses everything, disposing it twice is harmless, and its objects end with it', async () => {
  for (const runIn of ['worker', 'caller'] as const) {
    const toolkit = await openToolkit({ runIn });
    const model = await loadExample(toolkit);
    const session = await createSession(model);
    const pending = quantize(model, { calibration: exampleSamples(model, 'images'), evaluation: false });
    const rejected = assert.rejects(pending, { code: 'disposed' });
    await toolkit.dispose();
    await toolkit.dispose();
    await rejected;
    await assert.rejects(inspect(model), { code: 'disposed' });
    await assert.rejects(loadModel(toolkit, exampleBytes()), { code: 'disposed' });
    session.dispose();
    model.dispose();
  }
});

void test('calls begin in the order in which they were made, whatever they wait for', async () => {
  for (const runIn of ['worker', 'caller'] as const) {
    await withToolkit(
      async (toolkit) => {
        const model = await loadExample(toolkit);
        const data = Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i));
        const feeds = { [model.info.inputs[0]?.name ?? '']: { dtype: 'f32', shape: [1, 3, 64, 64], data } } as const;
        // Now and then the first run waits for a turn of the event loop.
        for (let i = 0; i < 20; ++i) {
          const session = await createSession(model);
          const [first, second] = [session.run(feeds), session.run(feeds)];
          const one = await first;
          session.dispose(); // behind the second run
          assert.deepEqual(await second, one);
        }
        model.dispose();
      },
      { runIn },
    );
  }
});

void test('on the caller’s own thread, calls give way to the event loop for their own time, not for that between them', async () => {
  await withToolkit(
    async (toolkit) => {
      const model = await loadExample(toolkit);
      const hasTurned = async (work: () => Promise<unknown>): Promise<boolean> => {
        let turned = false;
        setImmediate(() => (turned = true));
        await work();
        return turned;
      };
      const afterPauses: boolean[] = [];
      for (let i = 0; i < 10; ++i) {
        for (const begunMs = performance.now(); performance.now() - begunMs < 10;);
        afterPauses.push(await hasTurned(() => inspect(model)));
      }
      assert.ok(afterPauses.includes(false), 'a call of less than a millisecond waits for a turn each time');
      const session = await createSession(model);
      const data = new Float32Array(3 * 64 * 64);
      const feeds = { [model.info.inputs[0]?.name ?? '']: { dtype: 'f32', shape: [1, 3, 64, 64], data } } as const;
      const isBusy = async (): Promise<void> => {
        for (const begunMs = performance.now(); performance.now() - begunMs < 200;) await session.run(feeds);
      };
      assert.ok(await hasTurned(isBusy), 'runs one after the other never give way');
      session.dispose();
      model.dispose();
    },
    { runIn: 'caller' },
  );
});

/** A worker that is told what to do. */
function puppet(): { port: WorkerPort; sent: ToHost[]; answer(message: FromHost): void; die(reason: string): void } {
  const sent: ToHost[] = [];
  let tell: (message: FromHost) => void = () => undefined;
  let fail: (reason: string) => void = () => undefined;
  return {
    sent,
    port: {
      post: (message) => {
        sent.push(message);
        if (message.kind === 'open') queueMicrotask(() => tell({ kind: 'answer', id: message.id, answer: null, lent: [] }));
      },
      onMessage: (listener) => {
        tell = listener;
      },
      onFailure: (listener) => {
        fail = listener;
      },
      terminate: () => undefined,
    },
    answer: (message) => tell(message),
    die: (reason) => fail(reason),
  };
}

void test('a worker that dies rejects what is pending and all that follows', async () => {
  const { port, die } = puppet();
  const backend = await openClient(port, { wasmUrl: '', threads: 1, variant: 'auto' });
  const [first, second] = [backend.call('info', {}), backend.call('liveHandles', {})];
  const both = Promise.all([
    assert.rejects(first, /the worker stopped: out of luck/),
    assert.rejects(second, /open a new toolkit/),
  ]);
  die('out of luck');
  await both;
  await assert.rejects(backend.call('info', {}), /the worker stopped/);
});

void test('answers to unknown calls are ignored, and a request that cannot be cloned is refused', async () => {
  const { port, sent, answer } = puppet();
  const backend = await openClient(port, { wasmUrl: '', threads: 1, variant: 'auto' });
  answer({ kind: 'answer', id: 999, answer: 'nobody asked', lent: [] });
  answer({ kind: 'progress', id: 999, progress: { stage: 'x', done: 1, total: 1 } });
  const pending = backend.call('liveHandles', {});
  answer({ kind: 'answer', id: sent.at(-1)?.id ?? -1, answer: { handles: 4 }, lent: [] });
  assert.deepEqual(await pending, { handles: 4 });
  port.post = () => {
    throw new Error('could not be cloned');
  };
  await assert.rejects(backend.call('info', {}), { code: 'invalid_argument' });
});

void test('tensors go to a worker in buffers that come back for the next request, and the caller keeps its own', async () => {
  const { port, sent, answer } = puppet();
  const backend = await openClient(port, { wasmUrl: '', threads: 1, variant: 'auto' });
  const all = new Float32Array([9, 1, 2, 3, 9]);
  const run = async (data: Float32Array, answered: 'answer' | 'error') => {
    const feeds = {
      x: { dtype: 'f32', shape: [3], data },
      none: { dtype: 'f32', shape: [0], data: new Float32Array(0) },
    } as const;
    const request = { sessionId: 1, sample: { kind: 'feeds', feeds }, observe: [], outputs: {} } as const;
    const pending = backend.call('runSession', request);
    const message = sent.at(-1);
    assert.ok(message?.kind === 'call' && message.verb === 'runSession' && message.request.sample.kind === 'feeds');
    const crossing = message.request.sample.feeds['x']?.data;
    assert.deepEqual(crossing, data);
    assert.deepEqual(
      message.lent.map((buffer) => buffer === crossing.buffer),
      [true],
    );
    const { id, lent } = message;
    if (answered === 'answer') answer({ kind: 'answer', id, answer: { outputs: {}, observed: {} }, lent });
    else answer({ kind: 'error', id, error: { name: 'QuantError', code: 'bad_data', message: 'no', subject: '' }, lent });
    await pending.catch(() => undefined);
    return lent[0];
  };
  const part = all.subarray(1, 4);
  const first = await run(part, 'answer');
  assert.notEqual(first, all.buffer);
  assert.equal(await run(new Float32Array([4, 5, 6]), 'error'), first);
  assert.equal(await run(part, 'answer'), first);
  const longer = await run(all, 'answer');
  assert.equal(longer?.byteLength, 20);
  assert.deepEqual([...all], [9, 1, 2, 3, 9]);
});

void test('runs in a worker leave the fed arrays whole, also when several are on their way', async () => {
  await withToolkit(
    async (toolkit) => {
      const model = await loadExample(toolkit);
      const session = await createSession(model);
      const [input] = session.inputs;
      assert.ok(input !== undefined);
      const shape = (input.shape ?? []).map((extent) => Math.max(extent, 1));
      const length = shape.reduce((a, b) => a * b, 1);
      const feeds = [1, 2, 3].map((seed) => ({
        [input.name]: { dtype: 'f32', shape, data: Float32Array.from({ length }, (_, i) => Math.sin(i * seed)) } as const,
      }));
      const alone = [];
      for (const one of feeds) alone.push(await session.run(one));
      const together = await Promise.all(feeds.map((one) => session.run(one)));
      assert.deepEqual(together, alone);
      assert.deepEqual(
        feeds.map((one) => one[input.name]?.data.length),
        [length, length, length],
      );
      session.dispose();
      model.dispose();
    },
    { runIn: 'worker' },
  );
});

void test('a module that is not there is an error with its name', async () => {
  for (const runIn of ['worker', 'caller'] as const) {
    await assert.rejects(openToolkit({ runIn, wasmUrl: 'file:///no/such/folder/' }), {
      code: 'io_failed',
      message: /bitwright-simd\.wasm/,
    });
  }
});
