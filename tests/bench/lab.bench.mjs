// The page's lab: from a slider's event to the drawn answer, a million weights, in Chromium; the demo must be built (npm run build).
// Goal: one frame, 16 ms.
import { fileURLToPath } from 'node:url';
import { launchChromium } from '../../scripts/chromium.mjs';
import { serve } from '../../scripts/serve.mjs';

const moves = 60;
const schemes = ['i8', 'u8_tensor', 'i4_b32', 'u4_b32', 'nf4', 'mxfp4', 'f8e4m3fn', 'pot4'];

const server = await serve(fileURLToPath(new URL('../../demo/dist', import.meta.url)));
const browser = await launchChromium();
try {
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(`${server.address}/#/lab`);
  await page.waitForSelector('[data-panel=B][data-shown]');
  await page.uncheck('#compare-two');
  console.log('| scheme | median, ms | 95th of 100, ms |\n|---|---|---|');
  for (const scheme of schemes) {
    const times = await page.evaluate(
      async ({ name, n }) => {
        const panel = document.querySelector('[data-panel=A]');
        const set = (input, value) => {
          input.value = value;
          input.dispatchEvent(new globalThis.Event('input', { bubbles: true }));
        };
        const shown = () =>
          new Promise((done) => {
            const observer = new globalThis.MutationObserver(() => {
              observer.disconnect();
              done();
            });
            observer.observe(panel, { attributeFilter: ['data-shown'] });
          });
        const take = async (input, value) => {
          const answer = shown();
          const startedMs = performance.now();
          set(input, value);
          await answer;
          return performance.now() - startedMs;
        };
        const size = document.querySelector('#draw-size');
        if (size.value !== '1024') await take(size, '1024');
        await take(panel.querySelector('[data-part=scheme]'), name);
        const slider = panel.querySelector('[data-part=clip-ratio]');
        const all = [];
        for (let i = 0; i < n; ++i) {
          const ms = await take(slider, String(100 - (i % 50)));
          if (i >= 10) all.push(ms);
          await new Promise((done) => setTimeout(done, 5));
        }
        return all.sort((a, b) => a - b);
      },
      { name: scheme, n: moves },
    );
    const at = (share) => times[Math.floor(share * (times.length - 1))].toFixed(1);
    console.log(`| ${scheme} | ${at(0.5)} | ${at(0.95)} |`);
  }
} finally {
  await browser.close();
  await server.close();
}
