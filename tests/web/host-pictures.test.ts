import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { Sample } from '../../web/src/node.js';
import { HostPictures } from '../../web/src/samples/host-pictures.js';

const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(fileURLToPath(new URL(`./fixtures/${name}`, import.meta.url))));
const webp = new TextEncoder().encode('RIFF....WEBPVP8 ');

async function passed(watched: AsyncIterable<Sample> | Iterable<Sample>): Promise<Sample[]> {
  const seen: Sample[] = [];
  for await (const sample of watched) seen.push(sample);
  return seen;
}

void test('pictures left to the host are counted once by name, in bytes and Blobs; JPEG, PNG and tensors are not', async () => {
  const rest = { input: 'image', preprocessing: {} } as unknown as { input: string; preprocessing: never };
  const samples = [
    { image: fixture('rgb.png'), name: 'a', ...rest },
    { image: new Blob([fixture('photo.jpg').slice()]), name: 'b', ...rest },
    { image: webp, name: 'c', ...rest },
    { image: new Blob([webp.slice()]), name: 'd', ...rest },
    { feeds: {} },
  ] as readonly Sample[];
  const pictures = new HostPictures();
  assert.equal(pictures.watch(samples).length, 5);
  assert.deepEqual(pictures.warnings(), []);
  assert.deepEqual(await passed(pictures.watch(samples)), samples);
  await passed(pictures.watch(samples));
  assert.deepEqual(pictures.warnings(), [
    '2 pictures are neither JPEG nor PNG: this host decoded them, another may give other values',
  ]);
});
