import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import {
  bytesText,
  formulaLines,
  numberText,
  type SchemeInput,
  type SchemeReport,
  type SchemeTarget,
  sqnrText,
  tryScheme,
} from '../../web/src/node.js';
import { loadExample } from '../web/support/example.js';
import { withToolkit } from '../web/support/toolkit.js';
import { limitMs, openExample, overflow, shoot, skip, withPage } from './support/page.js';

const panel = (letter: string): string => `[data-panel=${letter}]`;
const control = (letter: string, part: string): string => `${panel(letter)} [data-part=${part}]`;

/** Sets a slider as a hand does: with its event. */
async function slide(page: Page, selector: string, value: number): Promise<void> {
  await page.locator(selector).evaluate((input, to) => {
    (input as HTMLInputElement).value = String(to);
    input.dispatchEvent(new Event('input', { bubbles: true }));
  }, value);
}

/** Does something, and waits until the panel has answered it. */
async function answered(page: Page, letter: string, act: () => Promise<unknown>): Promise<void> {
  const count = () => page.locator(panel(letter)).evaluate((root) => Number((root as HTMLElement).dataset['shown'] ?? '0'));
  const before = await count();
  await act();
  await page.waitForFunction(
    ([root, seen]) => Number((document.querySelector(root as string) as HTMLElement).dataset['shown'] ?? '0') > (seen as number),
    [panel(letter), before] as const,
  );
}

async function openLab(page: Page): Promise<void> {
  await page.click('#to-lab');
  for (const letter of ['A', 'B']) await page.waitForSelector(`${panel(letter)}[data-shown]`);
}

/** The figures that a panel shows are those of the verb. */
async function checkShown(page: Page, letter: string, report: SchemeReport): Promise<void> {
  const text = await page.innerText(control(letter, 'figures'));
  const figure = (name: string): string => new RegExp(`^${name}\\s+(.*)$`, 'm').exec(text)?.[1] ?? 'missing';
  assert.equal(figure('SQNR'), sqnrText(report.sqnr));
  assert.equal(figure('bits per weight'), numberText(report.bitsPerWeight));
  assert.equal(figure('largest error'), numberText(report.maxAbsError));
  assert.equal(figure('mean squared error'), numberText(report.meanSquaredError));
  assert.equal(figure('stored'), bytesText(report.storedBytes));
  assert.equal(await page.textContent(control(letter, 'formula')), formulaLines(report).join('\n'));
}

async function inNode(check: (tried: (tensor: string | null, scheme: SchemeInput) => Promise<SchemeReport>) => Promise<void>) {
  await withToolkit(async (toolkit) => {
    const model = await loadExample(toolkit);
    const drawn: SchemeTarget = { toolkit, distribution: { kind: 'laplace', shape: [256, 256], seed: 3 } };
    await check((tensor, scheme) => tryScheme(tensor === null ? drawn : { model, tensor }, scheme));
    model.dispose();
  });
}

void test('what the lab shows of a tensor is what the verb says', { skip, timeout: limitMs }, async () => {
  await withPage({ viewport: { width: 1280, height: 900 } }, async (page) => {
    await openExample(page);
    await openLab(page);
    const tensor = await page.inputValue('#tensor-list');
    assert.ok(tensor !== '');
    await inNode(async (tried) => {
      await checkShown(page, 'A', await tried(tensor, { scheme: 'i8' }));
      await checkShown(page, 'B', await tried(tensor, { scheme: 'nf4' }));
      await answered(page, 'B', () => page.selectOption(control('B', 'scheme'), 'u4_b32'));
      await answered(page, 'B', () => slide(page, control('B', 'bits'), 3));
      await answered(page, 'B', () => slide(page, control('B', 'block-size'), 1));
      await answered(page, 'B', () => slide(page, control('B', 'scale-index'), 2));
      const narrow = { scheme: 'u4_b32', bits: 3, blockSize: 16, scaleIndex: 2 } as const;
      await checkShown(page, 'B', await tried(tensor, narrow));
      await answered(page, 'B', () => slide(page, control('B', 'clip-ratio'), 80));
      await checkShown(page, 'B', await tried(tensor, { ...narrow, clipRatio: 0.8 }));
      await answered(page, 'B', () => page.check(control('B', 'symmetric')));
      await answered(page, 'B', () => page.check(control('B', 'narrow-range')));
      await answered(page, 'B', () => page.selectOption(control('B', 'scale-form'), 'e8m0'));
      const stored = { symmetric: true, narrowRange: true, scaleForm: 'e8m0' } as const;
      await checkShown(page, 'B', await tried(tensor, { ...narrow, clipRatio: 0.8, ...stored }));
      // The first scheme has a restricted range from the start.
      assert.equal(await page.isChecked(control('A', 'narrow-range')), true);
      assert.equal(await page.isHidden(control('A', 'entries-row')), true);
      await answered(page, 'A', () => page.selectOption(control('A', 'scheme'), 'kmeans16'));
      assert.equal(await page.isHidden(control('A', 'scale-form-row')), true);
      await answered(page, 'A', () => slide(page, control('A', 'entries'), 11));
      assert.equal(await page.innerText(control('A', 'bits-text')), '4');
      await checkShown(page, 'A', await tried(tensor, { scheme: 'kmeans16', entries: 11 }));
      await answered(page, 'A', () => slide(page, control('A', 'bits'), 3));
      assert.equal(await page.innerText(control('A', 'entries-text')), '8');
      await shoot(page, 'lab-parts');
      await answered(page, 'A', () => page.selectOption(control('A', 'scheme'), 'i8'));
      await shoot(page, 'lab');
    });
    const most = await page.locator('#tensor-list option').count();
    await page.fill('#tensor-search', tensor.slice(0, 6));
    assert.ok((await page.locator('#tensor-list option').count()) <= most);
    assert.equal(await page.inputValue('#tensor-list'), tensor);
  });
});

void test(
  'what the lab shows of a distribution is what the verb says, without a model too',
  { skip, timeout: limitMs },
  async () => {
    await withPage(
      { viewport: { width: 1280, height: 900 }, colorScheme: 'dark' },
      async (page) => {
        await openLab(page);
        await answered(page, 'A', () => page.selectOption('#kind', 'laplace'));
        await answered(page, 'A', () => page.fill('#draw-seed', '3'));
        await answered(page, 'A', () => page.selectOption(control('A', 'clipping'), 'mse'));
        await inNode(async (tried) => {
          await checkShown(page, 'A', await tried(null, { scheme: 'i8', clipping: 'mse' }));
        });
        await page.check('#log-counts');
        await shoot(page, 'lab-dark');
        // The picture is there: the bars, and the lines of the codes, are not of one colour.
        const colours = await page.locator(control('A', 'histogram')).evaluate((canvas) => {
          const { width, height } = canvas as HTMLCanvasElement;
          const pixels = (canvas as HTMLCanvasElement).getContext('2d')?.getImageData(0, 0, width, height).data ?? [];
          const seen = new Set<string>();
          for (let i = 0; i < pixels.length; i += 4) seen.add(`${pixels[i]},${pixels[i + 1]},${pixels[i + 2]},${pixels[i + 3]}`);
          return seen.size;
        });
        assert.ok(colours > 3);
      },
      { hash: '#/lab' },
    );
  },
);

void test(
  'of many moves of a slider the last one is shown, and those between are left out',
  { skip, timeout: limitMs },
  async () => {
    await withPage(
      {},
      async (page) => {
        await openLab(page);
        await page.uncheck('#compare-two');
        await answered(page, 'A', () => page.selectOption('#draw-size', '1024'));
        const shown = () => page.locator(panel('A')).evaluate((root) => Number((root as HTMLElement).dataset['shown']));
        const before = await shown();
        // 60 moves within one task: none of them can have been answered before the last is made.
        await page.locator(control('A', 'clip-ratio')).evaluate((input) => {
          for (let to = 100; to > 40; --to) {
            (input as HTMLInputElement).value = String(to);
            input.dispatchEvent(new Event('input', { bubbles: true }));
          }
        });
        await page.waitForFunction(
          ([root, seen]) =>
            Number((document.querySelector(root as string) as HTMLElement).dataset['shown']) >= (seen as number) + 2,
          [panel('A'), before] as const,
        );
        await page.waitForTimeout(300);
        assert.equal((await shown()) - before, 2, 'the first move and the last one are worked out, no others');
        await withToolkit(async (toolkit) => {
          const distribution = { kind: 'normal', shape: [1024, 1024], seed: 1 } as const;
          await checkShown(page, 'A', await tryScheme({ toolkit, distribution }, { scheme: 'i8', clipRatio: 0.41 }));
        });
      },
      { hash: '#/lab' },
    );
  },
);

void test('a scheme that cannot be is refused in its panel, which goes on', { skip, timeout: limitMs }, async () => {
  await withPage(
    {},
    async (page) => {
      await openLab(page);
      await slide(page, control('A', 'bits'), 1);
      await page.waitForSelector(`${control('A', 'refusal')}:not([hidden])`);
      assert.match(await page.innerText(control('A', 'refusal')), /^invalid_argument: scheme: 1 bit has no symmetric codes/);
      await answered(page, 'A', () => slide(page, control('A', 'bits'), 4));
      assert.equal(await page.isHidden(control('A', 'refusal')), true);
    },
    { hash: '#/lab' },
  );
});

void test('the keyboard moves sliders and draws a distribution', { skip, timeout: limitMs }, async () => {
  await withPage(
    { viewport: { width: 360, height: 740 } },
    async (page) => {
      await openLab(page);
      const figures = () => page.innerText(control('A', 'figures'));
      const before = await figures();
      await page.focus(control('A', 'clip-ratio'));
      await answered(page, 'A', () => page.keyboard.press('ArrowLeft'));
      assert.equal(await page.innerText(control('A', 'clip-ratio-text')), '99 %');
      assert.notEqual(await figures(), before);
      await answered(page, 'A', () => page.selectOption('#kind', 'drawn'));
      await page.focus('#sketch');
      await page.keyboard.press('ArrowRight');
      await answered(page, 'A', () => page.keyboard.press('ArrowDown'));
      assert.match((await page.getAttribute('#sketch', 'aria-valuetext')) ?? '', /^bin 34 of 64: height 0\.\d\d$/);
      // A line drawn by the pointer over the whole width: flat, so that every code is used about as often.
      const box = await page.locator('#sketch').boundingBox();
      assert.ok(box !== null);
      await page.mouse.move(box.x + 1, box.y + 40);
      await page.mouse.down();
      await answered(page, 'A', () => page.mouse.move(box.x + box.width - 1, box.y + 40));
      await page.mouse.up();
      await shoot(page, 'lab-narrow');
      assert.ok((await overflow(page)) <= 0, 'something runs over');
    },
    { hash: '#/lab' },
  );
});
