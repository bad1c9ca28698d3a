/**
 * Perplexity of the language model in ../shared/models on the stories beside it: ours, in both arithmetics, is onnxruntime's. Text
 * becomes tokens as llama2.c does it: byte pairs by their score, bytes where a character has no token, BOS and a space first. The
 * figure of the shared manifest takes bytes beyond ASCII for themselves, though four quotation marks have tokens: so are they here, too.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { createSession, loadModel, quantize, type Feeds, type Tensor, type Toolkit } from '../../web/src/node.js';
import { numbers } from './support/measure.js';
import { openRuntime } from './support/onnxruntime.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { useToolkit } from './support/toolkit.js';

const [file, words, text] = ['models/text/stories260K.onnx', 'models/text/tok512.bin', 'data/text/tinystories_sample.txt'];
const mostTokens = 512;
const firstByte = 3;
const begin = 1;
const manifest = { perplexity: '4.590', nTokens: 1794 };

let toolkit: Toolkit;
useToolkit((opened) => (toolkit = opened));

/** Tokens and their scores, in the format of llama2.c: length of the longest; for each score, length, bytes. */
function readTokens(path: string): { ids: Map<string, number>; tokens: string[]; scores: number[] } {
  const bytes = readFileSync(path);
  const [tokens, scores]: [string[], number[]] = [[], []];
  for (let at = 4; at < bytes.length;) {
    scores.push(bytes.readFloatLE(at));
    const end = at + 8 + bytes.readInt32LE(at + 4);
    tokens.push(bytes.toString('latin1', at + 8, end));
    at = end;
  }
  return { ids: new Map(tokens.map((token, id) => [token, id])), tokens, scores };
}

function encode(story: string, { ids, tokens, scores }: ReturnType<typeof readTokens>, byBytes: boolean): number[] {
  const found: number[] = [];
  for (const character of ` ${story}`) {
    const bytes = Buffer.from(character, 'utf8');
    const id = byBytes && bytes.length > 1 ? undefined : ids.get(bytes.toString('latin1'));
    found.push(...(id === undefined ? Array.from(bytes, (byte) => byte + firstByte) : [id]));
  }
  for (;;) {
    const pairs = found.slice(1).map((id, i) => ids.get(`${tokens[found[i] as number] ?? ''}${tokens[id] ?? ''}`));
    let best = -1;
    for (const [i, id] of pairs.entries())
      if (id !== undefined && (best < 0 || (scores[id] as number) > (scores[pairs[best] as number] as number))) best = i;
    if (best < 0) return [begin, ...found].slice(0, mostTokens);
    found.splice(best, 2, pairs[best] as number);
  }
}

/** Sum of -ln p of every token behind the first, given those before it. */
function surprise(logits: ArrayLike<number>, tokens: readonly number[]): number {
  const width = logits.length / tokens.length;
  let sum = 0;
  for (let i = 1; i < tokens.length; ++i) {
    const row = Array.from({ length: width }, (_, k) => logits[(i - 1) * width + k] as number);
    const most = Math.max(...row);
    sum += most + Math.log(row.reduce((total, x) => total + Math.exp(x - most), 0)) - (row[tokens[i] as number] as number);
  }
  return sum;
}

void test('stories260K: perplexity is that of onnxruntime', { skip: whyNotShared(file, words, text) }, async (context) => {
  const known = readTokens(sharedPath(words));
  const stories = readFileSync(sharedPath(text), 'utf8')
    .split('<|endoftext|>')
    .map((story) => story.trim().replace(/\s+/g, ' '))
    .filter((story) => story !== '');
  let nTokens = 0;
  const perplexity = async (run: (feeds: Feeds) => Promise<Record<string, Tensor>>, byBytes = false): Promise<number> => {
    let [sum, n] = [0, 0];
    for (const story of stories) {
      const tokens = encode(story, known, byBytes);
      const data = BigInt64Array.from(tokens, BigInt);
      const { logits } = await run({ input_ids: { dtype: 'i64', shape: [1, tokens.length], data } });
      sum += surprise(numbers(logits), tokens);
      n += tokens.length - 1;
    }
    nTokens = n;
    return Math.exp(sum / n);
  };
  const bytes = new Uint8Array(readFileSync(sharedPath(file)));
  const runtime = await openRuntime('onnxruntime-node', bytes);
  const theirs = await perplexity((feeds) => runtime.run(feeds));
  await runtime.close();
  const model = await loadModel(toolkit, bytes);
  const small = await quantize(model, { recipe: { mode: 'weight_only' } });
  const figures: Record<string, number> = {};
  for (const [name, opened, arithmetic] of [
    ['simulated', model, 'simulated'],
    ['fast', model, 'fast'],
    ['int8 weights', small.model, 'simulated'],
  ] as const) {
    const session = await createSession(opened, { arithmetic });
    if (opened === model) {
      const byBytes = await perplexity((feeds) => session.run(feeds), true);
      assert.equal(nTokens, manifest.nTokens);
      assert.equal(byBytes.toFixed(3), manifest.perplexity, `${name}: ${byBytes}, and the manifest's ${manifest.perplexity}`);
    }
    figures[name] = await perplexity((feeds) => session.run(feeds));
    session.dispose();
  }
  small.model.dispose();
  model.dispose();
  const line = Object.entries({ onnxruntime: theirs, ...figures }).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  context.diagnostic(`${nTokens} tokens: ${line.join(', ')}`);
  for (const name of ['simulated', 'fast']) assert.ok(Math.abs((figures[name] as number) / theirs - 1) < 1e-5, line.join(', '));
  assert.ok(Math.abs((figures['int8 weights'] as number) / theirs - 1) < 0.01, line.join(', '));
});
