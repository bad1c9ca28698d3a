import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { choosePreprocessing, loadModel, type Feeds, type ImageSample, type Model, type Toolkit } from '../../../web/src/node.js';

export const exampleFolder = fileURLToPath(new URL('../../../demo/example/', import.meta.url));
export const examplePath = join(exampleFolder, 'model.onnx');
export const exampleBytes = (): Uint8Array => new Uint8Array(readFileSync(examplePath));

export const loadExample = (toolkit: Toolkit): Promise<Model> => loadModel(toolkit, exampleBytes(), { name: 'model.onnx' });

/** Pictures of a folder of the example with their labels, prepared as its README says. */
export function exampleSamples(
  model: Model,
  folder: 'images' | 'eval',
  limit = Infinity,
): (ImageSample & { readonly label: number })[] {
  const { input, preprocessing } = choosePreprocessing(model.info.inputs, { preset: 'minus1_1', resize: 64 });
  const rows = readFileSync(join(exampleFolder, folder, 'labels.csv'), 'utf8')
    .trim()
    .split('\n')
    .slice(1);
  return rows.slice(0, limit).map((row) => {
    const [name = '', label] = row.split(',');
    return {
      image: new Uint8Array(readFileSync(join(exampleFolder, folder, name))),
      name,
      input,
      preprocessing,
      label: Number(label),
    };
  });
}

/** The same as tensors, for another runtime. */
export async function exampleFeeds(model: Model, folder: 'images' | 'eval', limit = Infinity): Promise<Feeds[]> {
  const feeds: Feeds[] = [];
  for (const { image, name, input, preprocessing } of exampleSamples(model, folder, limit)) {
    const sample = { kind: 'image', bytes: image as Uint8Array, name: name ?? '', input, preprocessing } as const;
    feeds.push({ [input]: await model.toolkit.call('preprocess', { sample }) });
  }
  return feeds;
}
