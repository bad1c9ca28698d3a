import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Browser, Page } from 'playwright-core';
import { findChrome, launchChromium } from '../../../scripts/chromium.mjs';
import { serve } from '../../../scripts/serve.mjs';

export const skip = findChrome() === undefined ? 'no Chromium on this machine' : false;
export const limitMs = 120_000;
const dist = fileURLToPath(new URL('../../../demo/dist/', import.meta.url)).replace(/\/$/, '');
/** Pictures of the page are kept where this variable says. */
const shots = process.env['BITWRIGHT_SHOTS'];

let server: Awaited<ReturnType<typeof serve>>;
let browser: Browser;
let kept: string;

/** A folder for downloads, until the tests of this file are done. */
export const folder = (): string => kept;

before(async () => {
  if (skip !== false) return;
  kept = mkdtempSync(join(tmpdir(), 'bitwright-e2e-'));
  server = await serve(dist);
  browser = await launchChromium();
});
after(async () => {
  if (skip !== false) return;
  await browser.close();
  await server.close();
  rmSync(kept, { recursive: true, force: true });
});

/** Opens the page; whatever it complains of (but for what is `expected`), and whatever it asks of other hosts, ends in `complaints`. */
export async function withPage(
  options: NonNullable<Parameters<Browser['newContext']>[0]>,
  work: (page: Page) => Promise<void>,
  { hash = '', expected }: { readonly hash?: string; readonly expected?: RegExp } = {},
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
    await page.goto(`${server.address}/${hash}`);
    await work(page);
    assert.deepEqual(
      complaints.filter((complaint) => expected?.test(complaint) !== true),
      [],
    );
  } finally {
    await context.close();
  }
}

export async function shoot(page: Page, name: string): Promise<void> {
  if (shots !== undefined) await page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
}

export async function openExample(page: Page): Promise<void> {
  await page.click('#example');
  await page.waitForFunction(() => !(document.querySelector('#quantize') as HTMLButtonElement).disabled);
}

/** Pixels that the page is wider than its window. */
export async function overflow(page: Page): Promise<number> {
  return await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
}
