import type { Browser } from 'playwright-core';

export function findChrome(): string | undefined;
export function launchChromium(): Promise<Browser>;
