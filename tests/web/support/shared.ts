/** Where the models and data that do not belong to this project lie; tests that need them are skipped by name without them. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const folder = process.env['BITWRIGHT_SHARED'] ?? fileURLToPath(new URL('../../../../shared/', import.meta.url));

export const sharedPath = (...parts: readonly string[]): string => join(folder, ...parts);

/** For the option `skip`: why a file of ../shared cannot be used, or false. */
export const whyNotShared = (...names: readonly string[]): string | false => {
  const missing = names.find((name) => !existsSync(sharedPath(name)));
  return missing === undefined ? false : `../shared/${missing} is not there`;
};
