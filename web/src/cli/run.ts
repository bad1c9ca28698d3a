import { readFileSync, mkdirSync } from 'node:fs';
import { basename, extname, join } from 'node:path';

import { QuantError } from '../errors.js';
import { writeWhole } from '../platform-node.js';
import { profileText, tensorText } from '../report/terminal.js';
import { readNpy, writeNpy } from '../samples/npy.js';
import { readNpz } from '../samples/npz.js';
import { createSession } from '../session.js';
import type { Tensor } from '../types.js';
import { arithmeticOption, arithmetics } from './bench.js';
import { exitCodes, UsageError } from './exit-codes.js';
import { type Context, onlyPositional, withContext } from './context.js';
import { commonOptions, type CommandSpec, flag, oneOf, sampleOptions, text, texts, type Values } from './options.js';
import { collectSamples } from './samples.js';

const { preprocess, mean, std, crop, resize, color } = sampleOptions as Required<typeof sampleOptions>;

export const runSpec: CommandSpec = {
  name: 'run',
  summary: 'run a model once on our engine',
  usage: 'run MODEL --input NAME=FILE [options]',
  options: {
    input: {
      type: 'string',
      multiple: true,
      value: 'NAME=FILE',
      help: 'a picture, .npy, TensorProto .pb, or .npz with all inputs',
    },
    output: { type: 'string', short: 'o', value: 'DIR', help: 'write every output there as NAME.npy' },
    profile: { type: 'boolean', help: 'show the time of every step' },
    arithmetic: arithmeticOption,
    ...({ preprocess, mean, std, crop, resize, color } as CommandSpec['options']),
    ...commonOptions,
  },
  examples: [
    'bitwright run model.onnx --input image=cat.jpg --preprocess imagenet',
    'bitwright run model.onnx --input inputs.npz -o results/ --profile',
  ],
};

async function readFeed(context: Context, path: string): Promise<Tensor> {
  const bytes = readFileSync(path);
  const ending = extname(path).toLowerCase();
  if (ending === '.npy') return readNpy(bytes, basename(path));
  if (ending === '.pb') return (await context.toolkit.call('readTensorProto', { bytes })).tensor;
  throw new QuantError('bad_data', `${path}: not a picture, .npy, .npz or .pb file`, path);
}

async function feedsOf(
  context: Context,
  model: Awaited<ReturnType<Context['open']>>,
  pairs: readonly string[],
): Promise<Record<string, Tensor>> {
  const feeds: Record<string, Tensor> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    const path = at < 0 ? pair : pair.slice(at + 1);
    const name = at < 0 ? undefined : pair.slice(0, at);
    if (extname(path).toLowerCase() === '.npz') {
      Object.assign(feeds, readNpz(readFileSync(path), basename(path)));
      continue;
    }
    const target = name ?? model.info.inputs[0]?.name;
    if (target === undefined) throw new UsageError(`--input is '${pair}'; NAME=FILE is needed`);
    if (['.jpg', '.jpeg', '.png'].includes(extname(path).toLowerCase())) {
      const inputs = model.info.inputs.filter((input) => input.name === target);
      const set = collectSamples(context.toolkit, inputs.length > 0 ? inputs : model.info.inputs, {
        ...context.values,
        calibrate: [path],
      });
      for (const warning of set.warnings) context.note(`warning: ${warning}`);
      for await (const sample of set.samples) {
        if (!('image' in sample)) continue;
        feeds[target] = await context.toolkit.call('preprocess', {
          sample: {
            kind: 'image',
            bytes: readFileSync(path),
            name: basename(path),
            input: target,
            preprocessing: sample.preprocessing,
          },
        });
      }
    } else {
      feeds[target] = await readFeed(context, path);
    }
  }
  return feeds;
}

/** Names from a file are made fit for one: no separators, at most 200 characters, each once. */
function fileNameOf(output: string, taken: Set<string>): string {
  const stem = output.replace(/[^\w.-]/g, '_').slice(0, 200);
  let name = `${stem}.npy`;
  for (let i = 1; taken.has(name); ++i) name = `${stem}_${i}.npy`;
  taken.add(name);
  return name;
}

export async function runCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const path = onlyPositional(positionals, 'MODEL', 'run');
  const pairs = texts(values, 'input');
  if (pairs.length === 0) throw new UsageError("--input NAME=FILE is needed; 'bitwright inspect' shows the names");
  return await withContext(values, async (context) => {
    const model = await context.open(path);
    const session = await createSession(
      model,
      { profile: flag(values, 'profile'), arithmetic: oneOf(values, 'arithmetic', arithmetics) ?? 'fast' },
      context.run,
    );
    try {
      const outputs = await session.run(await feedsOf(context, model, pairs), context.run);
      const folder = text(values, 'output');
      if (folder !== undefined) {
        mkdirSync(folder, { recursive: true });
        const taken = new Set<string>();
        for (const [name, tensor] of Object.entries(outputs)) writeWhole(join(folder, fileNameOf(name, taken)), writeNpy(tensor));
      }
      const profile = flag(values, 'profile') ? await session.profile() : [];
      if (flag(values, 'json')) {
        const plain = Object.fromEntries(
          Object.entries(outputs).map(([name, t]) => [
            name,
            { dtype: t.dtype, shape: t.shape, data: Array.from(t.data as ArrayLike<number | bigint>, Number) },
          ]),
        );
        context.print(JSON.stringify({ outputs: plain, ...(profile.length > 0 && { profile }) }));
      } else {
        for (const [name, tensor] of Object.entries(outputs)) context.print(tensorText(name, tensor));
        if (profile.length > 0) context.print(profileText(profile));
      }
    } finally {
      session.dispose();
      model.dispose();
    }
    return exitCodes.done;
  });
}
