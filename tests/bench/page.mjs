// A page of Chromium for timed work.
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { launchChromium } from '../../scripts/chromium.mjs';
import { serve } from '../../scripts/serve.mjs';
import { root } from '../../scripts/steps.mjs';

/** What a page finds beside its script: the package, the benchmarks, onnxruntime-web. */
export const packageLinks = {
  dist: join(root, 'web/dist'),
  bench: join(root, 'tests/bench'),
  ort: join(root, 'node_modules/onnxruntime-web/dist'),
};

/**
 * Loads a page with this module script and calls the `measure` that the script sets on window.
 *
 * @param links what the page can fetch: paths by the names they have there
 */
export async function measureInPage({ script, links, args }) {
  const folder = join(root, 'build/bench-page');
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(
    join(folder, 'index.html'),
    '<!doctype html><title>benchmark</title><script type="module" src="page.js"></script>',
  );
  writeFileSync(join(folder, 'page.js'), script);
  for (const [name, path] of Object.entries(links)) symlinkSync(path, join(folder, name));
  const server = await serve(folder);
  const browser = await launchChromium();
  try {
    const tab = await browser.newPage();
    tab.on('pageerror', (error) => console.error(`page: ${error.message}`));
    await tab.goto(`${server.address}/`);
    await tab.waitForFunction(() => globalThis.measure !== undefined);
    return await tab.evaluate((all) => globalThis.measure(...all), args);
  } finally {
    await browser.close();
    await server.close();
  }
}
