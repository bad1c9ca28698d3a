import { readFileSync } from 'node:fs';

/** From the package's own package.json: web/dist/cli/version.js lies three folders below it. */
export function packageVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL('../../../package.json', import.meta.url), 'utf8')) as { version: string };
  return version;
}
