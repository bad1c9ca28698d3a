import { readdirSync, realpathSync, statSync } from 'node:fs';
import { join, relative, sep } from 'node:path';

import { QuantError } from '../errors.js';

/** The most files looked at below --external-root; a download cache has some thousands. */
const maxExternalFiles = 100_000;

/**
 * Files that may serve as external data, by the name a model may use: everything below `root` that resolves inside of it, links
 * included (download caches keep models as links). Without a root the host looks in the model's own folder and follows no link.
 */
export function externalFiles(modelPath: string, root: string | undefined, maxFiles = maxExternalFiles): Record<string, string> {
  if (root === undefined) return {};
  let real: string;
  try {
    real = realpathSync(root);
  } catch {
    throw new QuantError('io_failed', `--external-root ${root}: no such folder`, root);
  }
  const files: Record<string, string> = {};
  let seen = 0;
  const walk = (folder: string): void => {
    for (const name of readdirSync(folder)) {
      if (++seen > maxFiles)
        throw new QuantError('limit_exceeded', `--external-root ${root}: more than ${maxFiles} files; give a smaller folder`);
      const path = join(folder, name);
      const status = statSync(path, { throwIfNoEntry: false });
      if (status === undefined) continue;
      const target = realpathSync(path);
      if (target !== real && !target.startsWith(real + sep)) continue;
      if (status.isDirectory() && target === path) walk(path);
      else if (status.isFile()) files[relative(real, path).split(sep).join('/')] = target;
    }
  };
  walk(real);
  const model = realpathSync(modelPath, 'utf8');
  return Object.fromEntries(Object.entries(files).filter(([, path]) => path !== model));
}
