/** The package in a page of a browser: toolkits and sessions beside each other, a memory level that stays, a worker that dies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import type { Progress } from '../../web/src/index.js';
import { manyWeights } from '../web/support/many-weights.js';
import { limitMs, skip, withPage } from './support/page.js';

/** The package as the page serves it; evaluated there. */
const packagePath = '/bitwright/index.js';

void test(
  'in a page: two toolkits and eight sessions on one model do not disturb each other',
  { skip, timeout: limitMs },
  async () => {
    await withPage({}, async (page) => {
      const seen = await page.evaluate(async (path) => {
        const { createSession, inspect, loadModel, openToolkit } = (await import(
          path
        )) as typeof import('../../web/src/index.js');
        const bytes = new Uint8Array(await (await fetch('/example/model.onnx')).arrayBuffer());
        const toolkits = await Promise.all([openToolkit(), openToolkit()]);
        const models = await Promise.all(toolkits.map((toolkit) => loadModel(toolkit, bytes)));
        const [one, other] = models as [(typeof models)[0], (typeof models)[0]];
        const sessions = await Promise.all([...Array.from({ length: 8 }, () => createSession(one)), createSession(other)]);
        const data = Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i));
        const feeds = Object.fromEntries(
          (await inspect(one)).inputs.map(({ name }) => [name, { dtype: 'f32', shape: [1, 3, 64, 64], data } as const]),
        );
        const texts = (results: Awaited<ReturnType<(typeof sessions)[0]['run']>>[]) =>
          new Set(
            results.map((result) => Object.values(result).map(({ data }) => [...(data as Float32Array)].join())).map(String),
          );
        const all = texts(await Promise.all(sessions.map((session) => session.run(feeds))));
        // One is disposed, and a whole toolkit, while others are at work.
        sessions[0]?.dispose();
        const running = sessions.slice(1, 8).map((session) => session.run(feeds));
        sessions[8]?.dispose();
        other.dispose();
        await toolkits[1]?.dispose();
        for (const text of texts(await Promise.all(running))) all.add(text);
        for (const session of sessions.slice(1, 8)) session.dispose();
        one.dispose();
        const handles = await toolkits[0]?.liveHandles();
        await toolkits[0]?.dispose();
        return { handles, results: [...all] };
      }, packagePath);
      assert.equal(seen.results.length, 1);
      assert.ok((seen.results[0]?.split(',').length ?? 0) > 5);
      assert.equal(seen.handles, 0);
    });
  },
);

/** A worker of a page's own that uses the package on its own thread. */
const callingWorker = `
import { createSession, loadModel, openToolkit } from '${packagePath}';
try {
  const toolkit = await openToolkit({ runIn: 'caller' });
  const model = await loadModel(toolkit, await (await fetch('/example/model.onnx')).blob());
  const session = await createSession(model);
  const data = Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i));
  const made = await session.run({ [model.info.inputs[0].name]: { dtype: 'f32', shape: [1, 3, 64, 64], data } });
  postMessage([...Object.values(made)[0].data].join());
} catch (error) {
  postMessage(String(error));
}`;

void test(
  "in a page: on the caller's own thread, the page's or a worker's, results are those of the package's worker",
  { skip, timeout: limitMs },
  async () => {
    await withPage({}, async (page) => {
      await page.route('**/calling-worker.js', (route) =>
        route.fulfill({
          contentType: 'text/javascript',
          headers: { 'Cross-Origin-Embedder-Policy': 'require-corp' },
          body: callingWorker,
        }),
      );
      const seen = await page.evaluate(async (path) => {
        const { createSession, loadModel, openToolkit } = (await import(path)) as typeof import('../../web/src/index.js');
        const file = await (await fetch('/example/model.onnx')).blob();
        const data = Float32Array.from({ length: 3 * 64 * 64 }, (_, i) => Math.sin(i));
        const inWorker = await openToolkit();
        const onPage = await openToolkit({ runIn: 'caller', threads: 2 });
        const results: string[] = [];
        let isReused = false;
        for (const toolkit of [inWorker, onPage]) {
          const model = await loadModel(toolkit, file);
          const session = await createSession(model);
          const feeds = { [model.info.inputs[0]?.name ?? '']: { dtype: 'f32', shape: [1, 3, 64, 64], data } as const };
          const first = await session.run(feeds);
          const [name, made] = Object.entries(first)[0] ?? ['', undefined];
          const text = [...(made?.data as Float32Array)].join();
          const again = await session.run(feeds, { outputs: { [name]: made?.data ?? data } });
          isReused = again[name]?.data === made?.data;
          results.push(text, [...(again[name]?.data as Float32Array)].join());
          session.dispose();
          model.dispose();
        }
        const { threads, reason } = onPage.info;
        await inWorker.dispose();
        await onPage.dispose();
        const worker = new Worker('/calling-worker.js', { type: 'module' });
        results.push(
          await new Promise<string>((resolve) => {
            worker.onmessage = (event: MessageEvent<string>) => {
              resolve(event.data);
            };
            worker.onerror = (event) => {
              resolve(`the worker failed: ${event.message}`);
            };
          }),
        );
        worker.terminate();
        return { results, isReused, threads, reason };
      }, packagePath);
      assert.ok((seen.results[0]?.split(',').length ?? 0) > 5, seen.results[0]);
      for (const result of seen.results) assert.equal(result, seen.results[0]);
      assert.equal(seen.isReused, true);
      assert.equal(seen.threads, 1);
      assert.match(seen.reason, /page's own thread must not wait/);
    });
  },
);

for (const isIsolated of [true, false]) {
  void test(
    `in a page: an abort stops the worker between two steps${isIsolated ? '' : ', also where no memory may be shared'}`,
    { skip, timeout: limitMs },
    async () => {
      // What the browser says in its console of an address that is gone.
      const expected = isIsolated ? {} : { expected: /net::ERR_FILE_NOT_FOUND/ };
      const work = async (page: Page): Promise<void> => {
        if (!isIsolated) {
          await page.route(/^http/, async (route) => {
            const response = await route.fetch();
            const headers = response.headers();
            delete headers['cross-origin-opener-policy'];
            delete headers['cross-origin-embedder-policy'];
            await route.fulfill({ response, headers });
          });
          await page.reload();
        }
        await page.route('**/many-weights.onnx', (route) => route.fulfill({ body: Buffer.from(manyWeights(96)) }));
        const seen = await page.evaluate(async (path) => {
          const { inspect, loadModel, openToolkit, quantize } = (await import(path)) as typeof import('../../web/src/index.js');
          const bytes = new Uint8Array(await (await fetch('/many-weights.onnx')).arrayBuffer());
          const toolkit = await openToolkit();
          const model = await loadModel(toolkit, bytes);
          const controller = new AbortController();
          let [atAbort, last, total] = [0, 0, 0];
          const onProgress = (progress: Progress): void => {
            if (progress.stage !== 'quantize weights') return;
            ({ done: last, total } = progress);
            if (last === 0 || controller.signal.aborted) return;
            atAbort = last;
            controller.abort();
          };
          const recipe = { mode: 'weight_only', weight: { scheme: 'kmeans256' } } as const;
          const error = await quantize(model, { recipe }, { signal: controller.signal, onProgress }).catch(String);
          await inspect(model); // behind what is left of it
          model.dispose();
          const handles = await toolkit.liveHandles();
          await toolkit.dispose();
          return { isIsolated: crossOriginIsolated, atAbort, last, total, error, handles };
        }, packagePath);
        assert.equal(seen.isIsolated, isIsolated);
        assert.match(String(seen.error), /AbortError/);
        assert.ok(
          seen.atAbort > 0 && seen.last < seen.total,
          `aborted at ${seen.atAbort}, it came to ${seen.last} of ${seen.total}`,
        );
        assert.equal(seen.handles, 0);
      };
      await withPage({}, work, expected);
    },
  );
}

void test(
  'in a page: a thousand times loading and disposing keep the memory level within 5 %',
  { skip, timeout: limitMs },
  async () => {
    await withPage({}, async (page) => {
      const { settled, end, handles } = await page.evaluate(async (path) => {
        const { createSession, loadModel, openToolkit } = (await import(path)) as typeof import('../../web/src/index.js');
        const bytes = new Uint8Array(await (await fetch('/example/model.onnx')).arrayBuffer());
        const toolkit = await openToolkit();
        let level = 0;
        for (let i = 0; i < 1000; ++i) {
          const model = await loadModel(toolkit, bytes);
          if (i % 10 === 0) (await createSession(model)).dispose();
          model.dispose();
          if (i === 100) level = await toolkit.heldBytes();
        }
        const result = { settled: level, end: await toolkit.heldBytes(), handles: await toolkit.liveHandles() };
        await toolkit.dispose();
        return result;
      }, packagePath);
      assert.ok(end <= settled * 1.05, `${settled} bytes after 100 rounds, ${end} after 1000`);
      assert.equal(handles, 0);
    });
  },
);

void test(
  'in a page: a worker that dies rejects what is pending with a typed error, and another is opened',
  { skip, timeout: limitMs },
  async () => {
    await withPage({}, async (page) => {
      const codes = page.evaluate(async (path) => {
        const { inspect, loadModel, openToolkit } = (await import(path)) as typeof import('../../web/src/index.js');
        const bytes = new Uint8Array(await (await fetch('/example/model.onnx')).arrayBuffer());
        const toolkit = await openToolkit();
        const model = await loadModel(toolkit, bytes);
        const code = (call: Promise<unknown>) =>
          call.then(
            () => 'answered',
            (error: { code?: string }) => error.code,
          );
        // Loads until it is dead: one call is pending when that happens.
        let last: string | undefined = 'answered';
        const isDying = new Promise((resolve) => {
          addEventListener('worker-dies', resolve, { once: true });
        });
        document.body.dataset['worker'] = 'works';
        await isDying;
        for (let i = 0; i < 2000 && last === 'answered'; ++i) last = await code(loadModel(toolkit, bytes));
        const later = await code(inspect(model));
        model.dispose();
        await toolkit.dispose();
        const next = await openToolkit();
        const reopened = await code(loadModel(next, bytes).then((again) => again.dispose()));
        await next.dispose();
        return { last, later, reopened };
      }, packagePath);
      await page.waitForSelector('body[data-worker=works]');
      const workers = page.workers();
      const dying = workers.at(-1)?.evaluate(() => {
        setTimeout(() => {
          throw new Error('it dies');
        }, 20);
      });
      await page.evaluate(() => dispatchEvent(new Event('worker-dies')));
      await dying;
      assert.deepEqual(await codes, { last: 'toolkit_lost', later: 'toolkit_lost', reopened: 'answered' });
    });
  },
);
