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

/** What a click on a link of the page downloads. */
async function download(page: Page, link: string): Promise<{ readonly name: string; readonly bytes: Buffer }> {
  const waiting = page.waitForEvent('download');
  await page.click(link);
  const done = await waiting;
  return { name: done.suggestedFilename(), bytes: readFileSync(await done.path()) };
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
      await page.click('#quantize');
      await page.waitForSelector('#result:not([hidden])');
      const seen = await page.evaluate(() => (globalThis as unknown as { seen: { frames: number; longestMs: number } }).seen);
      assert.ok(seen.frames > 5 && seen.longestMs < 1000, `the page stood still: ${JSON.stringify(seen)}`);
      assert.match(await page.innerText('#cards'), /times smaller[\s\S]*nodes quantized[\s\S]*labelled samples/);
      await page.click('#report-box summary');
      assert.match(await page.frameLocator('#report').locator('body').innerText(), /Error per layer/);
      await shoot(page, 'result');

      const waiting = page.waitForEvent('download');
      await page.click('#downloads a:has-text(".onnx")');
      const download = await waiting;
      assert.equal(download.suggestedFilename(), 'model_quantized.onnx');
      const path = join(folder(), 'downloaded.onnx');
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
    await page.click('#quantize');
    await page.waitForSelector('#result:not([hidden])');
    const waiting = page.waitForEvent('download');
    await page.click('#downloads a:has-text(".onnx")');
    const downloaded = readFileSync(await (await waiting).path());
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
    const waiting = page.waitForEvent('download');
    await page.click('#recipe-save');
    const saved = readFileSync(await (await waiting).path(), 'utf8');
    const recipe = JSON.parse(saved) as { mode: string; exclude: string[]; weight: { dtype: string } };
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
    await page.click('#quantize');
    await page.waitForSelector('#result:not([hidden])');
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
      await page.click('#quantize');
      await page.waitForSelector('#result:not([hidden])');
      const quantized = await download(page, '#downloads a:has-text(".onnx")');
      await page.setInputFiles('#model-file', { name: 'mine.onnx', mimeType: '', buffer: quantized.bytes });
      await page.waitForSelector('#rewrite:not([hidden])');

      await page.click('#rewrite [data-form=qoperator]');
      await page.waitForSelector('#rewritten a');
      const rewritten = await download(page, '#rewritten a');
      assert.equal(rewritten.name, 'mine_qoperator.onnx');
      assert.ok(rewritten.bytes.includes('QLinearConv'));
      // It has that form already: said, and nothing to download.
      await page.setInputFiles('#model-file', { name: 'mine_qoperator.onnx', mimeType: '', buffer: rewritten.bytes });
      await page.waitForFunction(() => /mine_qoperator/.test(document.querySelector('#model-facts')?.textContent ?? ''));
      await page.click('#rewrite [data-form=qoperator]');
      await page.waitForSelector('#error:not([hidden])');
      assert.match(await page.innerText('#error'), /^nothing_quantized: /);
      assert.equal(await page.locator('#rewritten a').count(), 0);

      await page.click('#rewrite [data-form=float]');
      await page.waitForSelector('#rewritten a');
      await page.locator('#rewrite').scrollIntoViewIfNeeded();
      await shoot(page, 'rewrite');
      const float = await download(page, '#rewritten a');
      assert.equal(float.name, 'mine_qoperator_float.onnx');
      await page.click('#rewritten button');
      await page.waitForSelector('#rewrite', { state: 'hidden' });
      await page.check('input[value=weight_only]');
      await page.click('#quantize');
      await page.waitForSelector('#result:not([hidden])');
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

void test('by the keyboard alone: from the top of the page to a quantized model', { skip, timeout: limitMs }, async () => {
  await withPage({ reducedMotion: 'reduce' }, async (page) => {
    /** Tab until the element of this id has the focus. */
    const tabTo = async (id: string) => {
      for (let i = 0; i < 60; ++i) {
        await page.keyboard.press('Tab');
        if ((await page.evaluate(() => document.activeElement?.id)) === id) {
          const outline = await page.evaluate(() => getComputedStyle(document.activeElement as Element).outlineStyle);
          assert.notEqual(outline, 'none', `${id} does not show that it has the focus`);
          return;
        }
      }
      assert.fail(`${id} is not reached by the keyboard`);
    };
    await tabTo('example');
    await page.keyboard.press('Enter');
    await page.waitForFunction(() => !(document.querySelector('#quantize') as HTMLButtonElement).disabled);
    await tabTo('quantize');
    await page.keyboard.press('Enter');
    await page.waitForSelector('#result:not([hidden])');
    await tabTo('run-start');
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
      await page.selectOption('[data-panel=B] [data-part=scheme]', 'kmeans16');
      await page.click('[data-panel=B] [data-part=use]');
      await page.waitForSelector('#view-quantize:not([hidden])');
      assert.match((await page.textContent('#command')) ?? '', /--mode weight_only --scheme kmeans16 /);
      await page.click('#quantize');
      await page.waitForSelector('#result:not([hidden])');
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
