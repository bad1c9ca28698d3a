// Finds and drives a Chromium of this machine, for tests that need a browser.
import { existsSync } from 'node:fs';
import { which } from './steps.mjs';

/** A Chromium or Chrome of this machine (BITWRIGHT_CHROME names another), or undefined. */
export function findChrome() {
  const named = process.env.BITWRIGHT_CHROME;
  if (named) return named;
  for (const program of ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable', 'chrome']) {
    const path = which(program);
    if (path !== undefined) return path;
  }
  const mac = '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome';
  return existsSync(mac) ? mac : undefined;
}

/** Starts the browser; the caller closes it. */
export async function launchChromium() {
  const { chromium } = await import('playwright-core');
  return chromium.launch({
    executablePath: findChrome(),
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
