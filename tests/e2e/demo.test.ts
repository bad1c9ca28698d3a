import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Page } from 'playwright-core';
import { createSession, loadModel, quantize } from '../../web/src/node.js';
import { exampleFeeds, exampleFolder, exampleSamples, loadExample } from '../web/support/example.js';
import { argmax, numbers } from '../web/support/measure.js';
import { openRuntime } from '../web/support/onnxruntime.js';
import { withToolkit } from '../web/support/toolkit.js';
import { folder, limitMs, openExample, overflow, shoot, skip, withPage } from './support/page.js';

interface Saved {
  readonly name: string;
  readonly bytes: Buffer;
}

/** What a click downloads. */
async function download(page: Page, selector: string): Promise<Saved> {
  const waiting = page.waitForEvent('download');
  await page.click(selector);
  const done = await waiting;
  return { name: done.suggestedFilename(), bytes: readFileSync(await done.path()) };
}

const cancelled = 'Cancelled. The model is still open.';
const modelLink = '#downloads a:has-text(".onnx")';

/** Clicks Quantize and waits for the result. */
async function quantizeHere(page: Page): Promise<void> {
  await page.click('#quantize');
  await page.waitForSelector('#result:not([hidden])');
}

/** Tab until the element has the focus, and shows it. */
async function tabTo(page: Page, selector: string): Promise<void> {
  for (let i = 0; i < 60; ++i) {
    await page.keyboard.press('Tab');
    if (!(await hasFocus(page, selector))) continue;
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle);
    assert.notEqual(outline, 'none', `${selector} does not show that it has the focus`);
    return;
  }
  assert.fail(`${selector} is not reached by the keyboard`);
}

const hasFocus = (page: Page, selector: string): Promise<boolean> =>
  page.evaluate((wanted) => document.activeElement?.matches(wanted) === true, selector);

const waitForFocus = (page: Page, selector: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.activeElement?.matches(wanted), selector);

const waitForStatus = (page: Page, text: string): Promise<unknown> =>
  page.waitForFunction((wanted) => document.querySelector('#status')?.textContent === wanted, text);

async function openModel(page: Page, { name, bytes }: Saved): Promise<void> {
  await page.setInputFiles('#model-file', { name, mimeType: '', buffer: bytes });
  await waitForStatus(page, `${name} is open.`);
}

let quantized: Promise<Buffer> | undefined;

/** The example, quantized in Node as the page does. */
async function quantizedExample(): Promise<Saved> {
  quantized ??= withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const result = await quantize(model, { calibration: exampleSamples(model, 'images'), evaluation: false });
    result.dispose();
    model.dispose();
    return Buffer.from(result.bytes);
  });
  return { name: 'mine.onnx', bytes: await quantized };
}

/** Keeps calls of this verb from the engine's worker, as if it were busy, until the function returned is called. */
async function holdCalls(page: Page, verb: string): Promise<() => Promise<void>> {
  await page.evaluate((heldVerb) => {
    const post = Worker.prototype.postMessage as (this: Worker, message: unknown, transfer: Transferable[]) => void;
    const held: (() => void)[] = [];
    Worker.prototype.postMessage = function (this: Worker, message: { verb?: string }, transfer: Transferable[]) {
      const send = () => {
        post.call(this, message, transfer);
      };
      if (message.verb === heldVerb) held.push(send);
      else send();
    } as typeof Worker.prototype.postMessage;
    const release = () => {
      Worker.prototype.postMessage = post as typeof Worker.prototype.postMessage;
      for (const send of held) send();
    };
    Object.assign(globalThis, { release });
  }, verb);
  return () =>
    page.evaluate(() => {
      (globalThis as unknown as { release: () => void }).release();
    });
}

void test(
  'the example: opened, quantized, reported, downloaded, and what comes out runs in onnxruntime',
  { skip, timeout: limitMs },
  async () => {
    await withPage({ viewport: { width: 1280, height: 900 } }, async (page) => {
      await shoot(page, 'empty');
      assert.equal(await page.isDisabled('#quantize'), true);
      await openExample(page);
      await page.waitForFunction(() => document.querySelector('#memory')?.textContent !== '');
      assert.match(await page.innerText('#memory'), /^It needs about [\d.]+ MB of memory, of which [\d.]+ GB are allowed\.$/);
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
      await quantizeHere(page);
      const seen = await page.evaluate(() => (globalThis as unknown as { seen: { frames: number; longestMs: number } }).seen);
      assert.ok(seen.frames > 5 && seen.longestMs < 1000, `the page stood still: ${JSON.stringify(seen)}`);
      assert.match(await page.innerText('#cards'), /times smaller[\s\S]*nodes quantized[\s\S]*labelled samples/);
      await page.click('#report-box summary');
      assert.match(await page.frameLocator('#report').locator('body').innerText(), /Error per layer/);
      await shoot(page, 'result');

      const { name, bytes } = await download(page, modelLink);
      assert.equal(name, 'model_quantized.onnx');
      assert.equal(Buffer.compare(bytes, (await quantizedExample()).bytes), 0, 'the page and Node give different files');

      await withToolkit(async (toolkit) => {
        const model = await loadExample(toolkit);
        const runtime = await openRuntime('onnxruntime-web', new Uint8Array(bytes));
        const [first] = await exampleFeeds(model, 'eval', 1);
        assert.equal(argmax(numbers((await runtime.run(first ?? {}))['logits'])), 0);
        await runtime.close();
        (await loadModel(toolkit, new Uint8Array(bytes))).dispose();
        model.dispose();
      });
    });
  },
);

void test('cancel stops the work, says so, and the model can be used again', { skip, timeout: limitMs }, async () => {
  await withPage({}, async (page) => {
    await openExample(page);
    await page.click('#quantize');
    await page.click('#quantize-progress button');
    await waitForStatus(page, cancelled);
    assert.equal(await page.isHidden('#result'), true);
    assert.equal(await page.isHidden('#quantize-progress'), true);
    await waitForFocus(page, '#quantize');
    await page.check('input[value=weight_only]');
    await quantizeHere(page);
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

void test('pictures that this browser decodes, not we, are noted beside the result', { skip, timeout: limitMs }, async () => {
  await withPage({}, async (page) => {
    await openExample(page);
    const webp = await page.evaluate(async () => {
      const canvas = new OffscreenCanvas(64, 64);
      const context = canvas.getContext('2d') as OffscreenCanvasRenderingContext2D;
      context.fillStyle = 'orange';
      context.fillRect(8, 8, 40, 30);
      return [...new Uint8Array(await (await canvas.convertToBlob({ type: 'image/webp' })).arrayBuffer())];
    });
    const file = (name: string): { name: string; mimeType: string; buffer: Buffer } => ({
      name,
      mimeType: 'image/webp',
      buffer: Buffer.from(webp),
    });
    await page.setInputFiles('#samples-file', [file('a.webp'), file('b.webp')]);
    await quantizeHere(page);
    assert.match(await page.innerText('#result'), /2 pictures are neither JPEG nor PNG: this host decoded them/);
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
      await quantizeHere(page);
      await page.click('#report-box summary');
      await page.frameLocator('#report').locator('text=Nodes').first().waitFor();
      await shoot(page, name);
      const over = await page.evaluate(() => {
        const inner = (document.querySelector('#report') as HTMLIFrameElement).contentDocument?.documentElement;
        return inner ? inner.scrollWidth - inner.clientWidth : 0;
      });
      assert.ok(over <= 0 && (await overflow(page)) <= 0, 'something runs over');
    });
  });
}

void test('the command that the page shows makes the same file', { skip, timeout: limitMs }, async () => {
  await withPage({}, async (page) => {
    await openExample(page);
    await page.fill('#exclude', 'op:Gemm');
    await page.selectOption('#method', 'percentile');
    await quantizeHere(page);
    const { bytes: downloaded } = await download(page, modelLink);
    const command = (await page.textContent('#command')) ?? '';
    assert.match(command, /^npx bitwright quantize model\.onnx --method percentile --exclude op:Gemm --calibrate samples\/ /);
    // As somebody would who has the files in these folders.
    const place = folder();
    cpSync(join(exampleFolder, 'model.onnx'), join(place, 'model.onnx'));
    cpSync(join(exampleFolder, 'images'), join(place, 'samples'), { recursive: true });
    cpSync(join(exampleFolder, 'eval'), join(place, 'evaluation'), { recursive: true });
    const cli = fileURLToPath(new URL('../../web/dist/cli/main.js', import.meta.url));
    const words = command.split(' ').slice(2);
    execFileSync(process.execPath, [cli, ...words, '--quiet'], { cwd: place, stdio: ['ignore', 'ignore', 'pipe'] });
    assert.equal(Buffer.compare(readFileSync(join(place, 'model_quantized.onnx')), downloaded), 0);
  });
});

void test('a recipe is saved, opened again, and refused by key where it is wrong', { skip, timeout: limitMs }, async () => {
  await withPage({}, async (page) => {
    await page.check('input[value=weight_only]');
    await page.fill('#exclude', 'op:Softmax, /head/*');
    const saved = await download(page, '#recipe-save');
    const recipe = JSON.parse(saved.bytes.toString()) as { mode: string; exclude: string[]; weight: { dtype: string } };
    assert.equal(recipe.mode, 'weight_only');
    assert.deepEqual(recipe.exclude, ['op:Softmax', '/head/*']);

    await page.reload();
    const open = (text: string) =>
      page.setInputFiles('#recipe-file', { name: 'mine.json', mimeType: 'application/json', buffer: Buffer.from(text) });
    // What the form has no field for is kept too, and asks for the recipe's file on the command line.
    await open(JSON.stringify({ ...recipe, seed: 5 }));
    await page.waitForFunction(() => /mine\.json/.test(document.querySelector('#status')?.textContent ?? ''));
    assert.equal(await page.isChecked('input[value=weight_only]'), true);
    assert.equal(await page.inputValue('#exclude'), 'op:Softmax, /head/*');
    assert.match((await page.textContent('#command')) ?? '', /--recipe recipe\.json/);

    await open('{"mode": "tiny"}');
    await page.waitForSelector('#error:not([hidden])');
    assert.match(await page.innerText('#error'), /^bad_recipe: recipe: mode is "tiny"; one of static/);
    await page.click('#error button');
    assert.equal(await page.isHidden('#error'), true);
  });
});

void test('both models are run here, and each node is told with its time', { skip, timeout: limitMs }, async () => {
  await withPage({ viewport: { width: 1280, height: 900 } }, async (page) => {
    await openExample(page);
    await quantizeHere(page);
    const release = await holdCalls(page, 'runSession');
    await page.click('#run-start');
    await page.waitForFunction(() =>
      /^Running both models: 0 of /.test(document.querySelector('#run-progress')?.textContent ?? ''),
    );
    await page.click('#run-progress button');
    await waitForStatus(page, cancelled);
    await waitForFocus(page, '#run-start');
    assert.equal(await page.isHidden('#run-progress'), true);
    await release();
    await page.click('#run-start');
    await page.waitForSelector('#run-shown table');
    assert.match(await page.innerText('#run-shown .cards'), /^\d+\.\d\d ms[\s\S]*\d+\.\d\d ms/);
    assert.ok((await page.locator('#run-shown tbody tr').count()) > 4);
    // Each step says whether it computes on codes, and why not.
    assert.match(await page.innerText('#run-shown'), /arithmetic fast/);
    assert.ok((await page.locator('#run-shown td .yes').count()) > 0);
    await shoot(page, 'run');
    // Layers stand worst first.
    const losses = (await page.locator('#layers tbody td.number:nth-child(2)').allInnerTexts()).map((text) => parseFloat(text));
    assert.ok(losses.length > 3);
    assert.deepEqual(
      losses,
      [...losses].sort((a, b) => a - b),
    );
    const all = await page.locator('#nodes tbody tr').count();
    await page.check('#float-only');
    const kept = page.locator('#nodes tbody tr');
    assert.ok((await kept.count()) < all);
    assert.equal(await page.locator('#nodes tbody .no').count(), await kept.count());
  });
});

void test(
  'a quantized model: rewritten, dequantized, and quantized anew from the float model',
  { skip, timeout: limitMs },
  async () => {
    await withPage({ viewport: { width: 1280, height: 900 } }, async (page) => {
      await openExample(page);
      assert.equal(await page.isHidden('#rewrite'), true);
      await openModel(page, await quantizedExample());
      assert.equal(await page.isVisible('#rewrite'), true);

      await page.evaluate(() => {
        const told: string[] = [];
        const text = document.querySelector('#rewrite-progress span') as Element;
        new MutationObserver(() => told.push(text.textContent)).observe(text, { childList: true });
        Object.assign(globalThis, { told });
      });
      await page.click('#rewrite [data-form=qoperator]');
      await page.waitForSelector('#rewritten a');
      const told = await page.evaluate(() => (globalThis as unknown as { told: string[] }).told);
      assert.equal(told[0], 'Rewriting the nodes');
      assert.match(told.at(-1) ?? '', /^Writing the file: ([\d.]+ kB) of \1$/);
      const rewritten = await download(page, '#rewritten a');
      assert.equal(rewritten.name, 'mine_qoperator.onnx');
      assert.ok(rewritten.bytes.includes('QLinearConv'));
      // It has that form already: said, and nothing to download.
      await openModel(page, rewritten);
      await page.click('#rewrite [data-form=qoperator]');
      await page.waitForSelector('#error:not([hidden])');
      assert.match(await page.innerText('#error'), /^nothing_quantized: /);
      assert.equal(await page.locator('#rewritten a').count(), 0);

      await page.click('#rewrite [data-form=float]');
      await page.waitForSelector('#rewritten a');
      await shoot(page, 'rewrite');
      const float = await download(page, '#rewritten a');
      assert.equal(float.name, 'mine_qoperator_float.onnx');
      await page.click('#rewritten button');
      await page.waitForSelector('#rewrite', { state: 'hidden' });
      await page.check('input[value=weight_only]');
      await quantizeHere(page);
      await withToolkit(async (toolkit) => {
        const model = await loadModel(toolkit, new Uint8Array(float.bytes));
        const example = await loadExample(toolkit);
        assert.equal(model.info.isQuantized, false);
        const [first] = await exampleFeeds(example, 'eval', 1);
        const sessions = await Promise.all([model, example].map((one) => createSession(one)));
        const [ours, original] = await Promise.all(sessions.map((session) => session.run(first ?? {})));
        assert.equal(argmax(numbers(ours?.['logits'])), argmax(numbers(original?.['logits'])));
        for (const one of [...sessions, model, example]) one.dispose();
      });
    });
  },
);

for (const [name, options] of [
  ['narrow', { viewport: { width: 390, height: 844 }, reducedMotion: 'reduce' as const }],
  ['dark', { viewport: { width: 1100, height: 800 }, colorScheme: 'dark' as const }],
] as const) {
  void test(
    `${name}: a quantized model is rewritten by the keyboard, with progress, cancelled, and gone on with`,
    { skip, timeout: limitMs },
    async () => {
      await withPage(options, async (page) => {
        const shown = '#rewrite-progress:not([hidden])';
        await openExample(page);
        await openModel(page, await quantizedExample());

        const release = await holdCalls(page, 'convertModel');
        await tabTo(page, '[data-form=float]');
        await page.keyboard.press('Enter');
        await page.waitForSelector(shown);
        assert.equal(await page.innerText(`${shown} span`), 'Rewriting the nodes');
        assert.equal(await page.isDisabled('[data-form=qoperator]'), true);
        assert.equal(await hasFocus(page, '#rewrite-progress button'), true);
        await shoot(page, `rewrite-working-${name}`);
        assert.ok((await overflow(page)) <= 0, 'something runs over');
        await page.keyboard.press('Enter');
        await waitForStatus(page, cancelled);
        await waitForFocus(page, '[data-form=float]');
        assert.equal(await page.isHidden('#rewrite-progress'), true);
        // What the engine answers after all is not shown.
        await release();

        await tabTo(page, '[data-form=qoperator]');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#rewritten a');
        assert.equal(await page.locator('#rewritten a').getAttribute('download'), 'mine_qoperator.onnx');
        await waitForFocus(page, '[data-form=qoperator]');
        await shoot(page, `rewrite-${name}`);
        assert.ok((await overflow(page)) <= 0, 'something runs over');

        await tabTo(page, '#rewritten button');
        await page.keyboard.press('Enter');
        await waitForStatus(page, 'mine_qoperator.onnx is open.');
        assert.match(await page.innerText('#model-facts'), /mine_qoperator\.onnx/);
        await tabTo(page, '[data-form=float]');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#rewritten a');
        await tabTo(page, '#rewritten button');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#rewrite', { state: 'hidden' });
        await tabTo(page, '#quantize');
        await page.keyboard.press('Enter');
        await page.waitForSelector('#result:not([hidden])');
        assert.equal(await page.locator(modelLink).getAttribute('download'), 'mine_qoperator_float_quantized.onnx');
      });
    },
  );
}

void test('another model ends the work on the one before it, without a word', { skip, timeout: limitMs }, async () => {
  await withPage({}, async (page) => {
    const mine = await quantizedExample();
    await openModel(page, mine);
    const release = await holdCalls(page, 'convertModel');
    await page.click('[data-form=float]');
    await openModel(page, { ...mine, name: 'other.onnx' });
    await page.waitForSelector('#rewrite-progress', { state: 'hidden' });
    await release();
    await page.click('[data-form=float]');
    await page.waitForSelector('#rewritten a');
    assert.equal(await page.locator('#rewritten a').getAttribute('download'), 'other_float.onnx');
    assert.equal(await page.isHidden('#error'), true);
  });
});

void test('by the keyboard alone: from the top of the page to a quantized model', { skip, timeout: limitMs }, async () => {
  await withPage({ reducedMotion: 'reduce' }, async (page) => {
    await tabTo(page, '#example');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => !(document.querySelector('#quantize') as HTMLButtonElement).disabled);
    await tabTo(page, '#quantize');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#result:not([hidden])');
    await tabTo(page, '#run-start');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#run-shown table');
  });
});

void test(
  'weights in a scheme of the lab: taken over, told on the command line, written',
  { skip, timeout: limitMs },
  async () => {
    await withPage({}, async (page) => {
      await openExample(page);
      await page.click('#to-lab');
      await page.waitForSelector('[data-panel=B][data-shown]');
      await page.selectOption('[data-panel=B] [data-part=scheme]', 'kmeans4');
      await page.click('[data-panel=B] [data-part=use]');
      await page.waitForSelector('#view-quantize:not([hidden])');
      assert.match((await page.textContent('#command')) ?? '', /--mode weight_only --scheme kmeans4 /);
      await quantizeHere(page);
      assert.ok((await page.locator('#nodes .yes').count()) > 10);
      // Its range, too, which the example's pictures may decide.
      await page.selectOption('#scheme', 'i4_b32');
      await page.selectOption('#clipping', 'mse');
      assert.match((await page.textContent('#command')) ?? '', /--scheme i4_b32 --clipping mse /);
      await page.selectOption('#clipping', 'output_error');
      await quantizeHere(page);
      assert.ok((await page.locator('#nodes .yes').count()) > 10);
      // Another way forgets it.
      await page.check('input[value=q4f16]');
      assert.equal(await page.inputValue('#scheme'), 'i4_b32');
      assert.match((await page.textContent('#command')) ?? '', /--recipe recipe\.json/);
      await page.check('input[value=static]');
      assert.match((await page.textContent('#command')) ?? '', /^npx bitwright quantize model\.onnx --calibrate/);
    });
  },
);
