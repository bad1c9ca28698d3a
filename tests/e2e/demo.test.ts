import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { findChrome, launchChromium } from '../../scripts/chromium.mjs';
import { serve } from '../../scripts/serve.mjs';
import { loadModel, quantize } from '../../web/src/node.js';
import { exampleFeeds, exampleSamples, loadExample } from '../web/support/example.js';
import { argmax, numbers } from '../web/support/measure.js';
import { openRuntime } from '../web/support/onnxruntime.js';
import { withToolkit } from '../web/support/toolkit.js';

const skip = findChrome() === undefined ? 'no Chromium on this machine' : false;
const dist = fileURLToPath(new URL('../../demo/dist/', import.meta.url)).replace(/\/$/, '');
/** Pictures of the page are kept where this variable says. */
const shots = process.env['BITWRIGHT_SHOTS'];
const limitMs = 120_000;

let server: Awaited<ReturnType<typeof serve>>;
let browser: Browser;
let folder: string;
before(async () => {
  if (skip !== false) return;
  folder = mkdtempSync(join(tmpdir(), 'bitwright-e2e-'));
  server = await serve(dist);
  browser = await launchChromium();
});
after(async () => {
  if (skip !== false) return;
  await browser.close();
  await server.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens the page; whatever it complains of, and whatever it asks of other hosts, ends in `complaints`. */
async function withPage(
  options: NonNullable<Parameters<Browser['newContext']>[0]>,
  work: (page: Page) => Promise<void>,
): Promise<void> {
  const context = await browser.newContext({ acceptDownloads: true, ...options });
  const complaints: string[] = [];
  try {
    const page = await context.newPage();
    page.on('pageerror', (error) => complaints.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' || /Content Security Policy/i.test(message.text())) complaints.push(message.text());
    });
    page.on('request', (request) => {
      if (!request.url().startsWith(server.address) && !/^(blob|data|about):/.test(request.url())) complaints.push(request.url());
    });
    page.setDefaultTimeout(limitMs);
    await page.goto(server.address);
    await work(page);
    assert.deepEqual(complaints, []);
  } finally {
    await context.close();
  }
}

async function shoot(page: Page, name: string): Promise<void> {
  if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

async function openExample(page: Page): Promise<void> {
  await page.click('#example');
  await page.waitForFunction(() => !(document.querySelector('#quantize') as HTMLButtonElement).disabled);
}

void test(
  'the example: opened, quantized, reported, downloaded, and what comes out runs in onnxruntime',
  { skip, timeout: limitMs },
  async () => {
    await withPage({ viewport: { width: 1280, height: 900 } }, async (page) => {
      await shoot(page, 'empty');
      assert.equal(await page.isDisabled('#quantize'), true);
      await openExample(page);
      await shoot(page, 'example');
      // Frames go on being drawn while the worker computes.
      await page.evaluate(() => {
        const seen = { frames: 0, longestMs: 0, lastMs: performance.now() };
        Object.assign(globalThis, { seen });
        const draw = () => {
          const nowMs = performance.now();
          seen.frames += 1;
          seen.longestMs = Math.max(seen.longestMs, nowMs - seen.lastMs);
          seen.lastMs = nowMs;
          if (document.querySelector('#result')?.hasAttribute('hidden')) requestAnimationFrame(draw);
        };
        requestAnimationFrame(draw);
      });
      await page.click('#quantize');
      await page.waitForSelector('#result:not([hidden])');
      const seen = await page.evaluate(() => (globalThis as unknown as { seen: { frames: number; longestMs: number } }).seen);
      assert.ok(seen.frames > 5 && seen.longestMs < 1000, `the page stood still: ${JSON.stringify(seen)}`);
      assert.match(await page.innerText('#cards'), /times smaller[\s\S]*nodes quantized[\s\S]*labelled samples/);
      assert.match(await page.frameLocator('#report').locator('body').innerText(), /Error per layer/);
      await shoot(page, 'result');

      const waiting = page.waitForEvent('download');
      await page.click('#downloads a:has-text(".onnx")');
      const download = await waiting;
      assert.equal(download.suggestedFilename(), 'model_quantized.onnx');
      const path = join(folder, 'downloaded.onnx');
      await download.saveAs(path);
      const bytes = new Uint8Array(readFileSync(path));

      await withToolkit(async (toolkit) => {
        const model = await loadExample(toolkit);
        const here = await quantize(model, { calibration: exampleSamples(model, 'images'), evaluation: false });
        assert.equal(Buffer.compare(bytes, here.bytes), 0, 'the page and Node give different files');
        const runtime = await openRuntime('onnxruntime-web', bytes);
        const [first] = await exampleFeeds(model, 'eval', 1);
        assert.equal(argmax(numbers((await runtime.run(first ?? {}))['logits'])), 0);
        await runtime.close();
        (await loadModel(toolkit, bytes)).dispose();
        here.dispose();
        model.dispose();
      });
    });
  },
);

void test('cancel stops the work, says so, and the model can be used again', { skip, timeout: limitMs }, async () => {
  await withPage({}, async (page) => {
    await openExample(page);
    await page.click('#quantize');
    await page.click('#cancel');
    await page.waitForFunction(() => /Cancelled/.test(document.querySelector('#status')?.textContent ?? ''));
    assert.equal(await page.isHidden('#result'), true);
    assert.equal(await page.isHidden('#cancel'), true);
    await page.check('input[value=weight_only]');
    await page.click('#quantize');
    await page.waitForSelector('#result:not([hidden])');
  });
});

void test('a broken file is told with its code, and the page goes on', { skip, timeout: limitMs }, async () => {
  await withPage({}, async (page) => {
    await page.setInputFiles('#model-file', { name: 'broken.onnx', mimeType: '', buffer: Buffer.from('this is no model') });
    await page.waitForSelector('#error:not([hidden])');
    assert.match(await page.innerText('#error'), /^bad_model: /);
    assert.equal(await page.isDisabled('#quantize'), true);
    await shoot(page, 'broken');
    await openExample(page);
    assert.equal(await page.isHidden('#error'), true);
    await page.setInputFiles('#samples-file', { name: 'broken.png', mimeType: 'image/png', buffer: Buffer.from('no picture') });
    await page.click('#quantize');
    await page.waitForSelector('#error:not([hidden])');
    assert.match(await page.innerText('#error'), /^bad_data: broken\.png/);
  });
});

for (const [name, options] of [
  ['narrow', { viewport: { width: 360, height: 740 } }],
  ['dark', { viewport: { width: 1100, height: 800 }, colorScheme: 'dark' as const }],
] as const) {
  void test(`${name}: nothing is cut off or runs over`, { skip, timeout: limitMs }, async () => {
    await withPage(options, async (page) => {
      await openExample(page);
      await page.check('input[value=float16]');
      await page.click('#quantize');
      await page.waitForSelector('#result:not([hidden])');
      await page.frameLocator('#report').locator('text=Nodes').first().waitFor();
      await shoot(page, name);
      const over = await page.evaluate(() => {
        const widths = [document.documentElement.scrollWidth - innerWidth];
        const inner = (document.querySelector('#report') as HTMLIFrameElement).contentDocument?.documentElement;
        if (inner) widths.push(inner.scrollWidth - inner.clientWidth);
        return widths;
      });
      assert.deepEqual(
        over.filter((pixels) => pixels > 0),
        [],
      );
    });
  });
}
