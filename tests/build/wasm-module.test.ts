import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync, cpSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { findChrome, launchChromium } from '../../scripts/chromium.mjs';
import { serve } from '../../scripts/serve.mjs';

const modules = fileURLToPath(new URL('../../web/dist/wasm/', import.meta.url));
// What is known to make modules smaller stands in docs/performance.md, "Size of the modules".
const budgetBytes = 350_000;

void test('the single-threaded modules take at most 350 kB after brotli', (context) => {
  for (const name of ['bitwright-simd.wasm', 'bitwright-relaxed.wasm']) {
    const bytes = readFileSync(join(modules, name));
    const packed = brotliCompressSync(bytes, {
      params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
    });
    context.diagnostic(`${name}: ${bytes.length} bytes, ${packed.length} after brotli`);
    assert.ok(packed.length <= budgetBytes, `${name} is ${packed.length} bytes after brotli, over ${budgetBytes}`);
  }
});

const noChrome = findChrome() === undefined ? 'no Chromium on this machine' : false;

void test("each module starts in Chromium under script-src 'self' 'wasm-unsafe-eval'", { skip: noChrome, timeout: 120_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'bitwright-csp-'));
  const names = ['simd', 'simd-mt', 'relaxed', 'relaxed-mt'].map((family) => `bitwright-${family}`);
  cpSync(modules, folder, { recursive: true });
  writeFileSync(join(folder, 'index.html'), '<!doctype html><script type="module" src="start.js"></script>');
  writeFileSync(
    join(folder, 'start.js'),
    `const started = {};
     for (const name of ${JSON.stringify(names)}) {
       try { await (await import('./' + name + '.mjs')).default({}); started[name] = 'started'; }
       catch (error) { started[name] = String(error); }
     }
     globalThis.ended(started);`,
  );
  const policy = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'";
  const server = await serve(folder, { policy });
  const browser = await launchChromium();
  try {
    const page = await browser.newPage();
    const violations: string[] = [];
    page.on('console', (message) => {
      if (/Content Security Policy/i.test(message.text())) violations.push(message.text());
    });
    const ended = new Promise<unknown>((done) => {
      void page.exposeFunction('ended', done).then(() => page.goto(server.address));
    });
    assert.deepEqual(await ended, Object.fromEntries(names.map((name) => [name, 'started'])));
    assert.deepEqual(violations, []);
  } finally {
    await browser.close();
    await server.close();
    rmSync(folder, { recursive: true, force: true });
  }
});

void test('the glue evaluates no strings', () => {
  for (const family of ['simd', 'simd-mt', 'relaxed', 'relaxed-mt']) {
    const path = join(modules, `bitwright-${family}.mjs`);
    assert.ok(existsSync(path), `${path} was not built`);
    assert.equal(/\beval\s*\(|new Function\b/.test(readFileSync(path, 'utf8')), false);
  }
});
