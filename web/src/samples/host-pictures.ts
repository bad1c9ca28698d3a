import { countOf } from '../toolkit.js';
import type { Sample, Samples } from '../types.js';
import { isDecodedHere } from './decode-image.js';

async function isOther(sample: Sample): Promise<boolean> {
  const image = (sample as { readonly image?: unknown } | null)?.image;
  if (image instanceof Uint8Array) return !isDecodedHere(image);
  if (!(image instanceof Blob)) return false;
  return !isDecodedHere(new Uint8Array(await image.slice(0, 16).arrayBuffer()));
}

/** Counts, among samples on their way to the engine, the pictures that are left to the host: neither JPEG nor PNG. */
export class HostPictures {
  private readonly seen = new Set<unknown>();

  watch(samples: Samples): Samples & { readonly length: number } {
    const { seen } = this;
    async function* walk(): AsyncGenerator<Sample> {
      for await (const sample of samples) {
        // Named ones are counted once, though they serve to calibrate and to measure.
        if (await isOther(sample)) seen.add(sample.name ?? sample);
        yield sample;
      }
    }
    return { length: countOf(samples), [Symbol.asyncIterator]: walk };
  }

  warnings(): string[] {
    const n = this.seen.size;
    if (n === 0) return [];
    return [
      `${n} picture${n === 1 ? ' is' : 's are'} neither JPEG nor PNG: this host decoded ${n === 1 ? 'it' : 'them'}, another may give other values`,
    ];
  }
}
