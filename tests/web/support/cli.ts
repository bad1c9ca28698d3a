/** The command line in a folder of its own, which goes away with the process. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import { fileURLToPath } from 'node:url';
import { exampleFolder } from './example.js';

const program = fileURLToPath(new URL('../../../web/dist/cli/main.js', import.meta.url));
export const images = join(exampleFolder, 'images');
export const labelled = ['--evaluate', join(exampleFolder, 'eval'), '--labels', join(exampleFolder, 'eval/labels.csv')];
export const pictures = ['--preprocess', 'minus1_1', '--resize', '64'];
export const quick = ['--calibrate', images, '--limit', '4', ...pictures];

export const folder = mkdtempSync(join(tmpdir(), 'bitwright-cli-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});
export const at = (name: string): string => join(folder, name);
export function file(name: string, content: Uint8Array | string): string {
  writeFileSync(at(name), content);
  return at(name);
}

export interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Setting {
  readonly env?: Readonly<Record<string, string>>;
  readonly onStderr?: (text: string, kill: (signal: NodeJS.Signals) => void) => void;
  readonly closesStdout?: boolean;
}

export function cli(words: readonly string[], { env = {}, onStderr, closesStdout = false }: Setting = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [program, ...words], {
      cwd: folder,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    if (closesStdout) child.stdout.destroy();
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
      onStderr?.(stderr, (signal) => child.kill(signal));
    });
    child.on('error', reject);
    child.on('close', (status) => {
      resolve({ status, stdout, stderr });
    });
  });
}

/** Ends with `status`, tells one line with `code` on stderr, and leaves no file called `output`. */
export async function fails(words: readonly string[], status: number, code: string, output?: string): Promise<string> {
  const ended = await cli(words);
  const told = ended.stderr.split('\n').filter((line) => line.startsWith('bitwright: '));
  assert.equal(ended.status, status, `${words.join(' ')}: ${ended.stderr}`);
  assert.equal(told.length, 1, ended.stderr);
  assert.ok(told[0]?.startsWith(`bitwright: ${code}: `), told[0]);
  assert.equal(/^\s+at /m.test(ended.stderr), false, 'a stack was shown');
  if (output !== undefined) assert.equal(existsSync(at(output)), false, `${output} was left`);
  assert.deepEqual(
    readdirSync(folder).filter((name) => name.endsWith('.tmp')),
    [],
  );
  return told[0] ?? '';
}
