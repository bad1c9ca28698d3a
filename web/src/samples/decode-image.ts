/** Pictures to 8-bit RGB, the same bytes in Node and in the page: JPEG and PNG by one small library each, EXIF orientation applied. */
import { decode as decodePng, hasPngSignature } from 'fast-png';
import { decode as decodeJpegFile } from 'jpeg-js';

import { QuantError } from '../errors.js';
import type { Picture } from '../worker/platform.js';
import { exifOrientation, oriented } from './exif.js';

/** The most pixels of one picture (the core has the same limit); cameras of 2026 reach 2^27.6. */
export const maxImagePixels = 2 ** 26;
/** The most bytes of one picture file: photographs have below 30 MB. */
export const maxImageBytes = 256 * 1024 * 1024;

function fail(name: string, finding: string): never {
  throw new QuantError('bad_data', `${name}: ${finding}`, name);
}

function checkSize(name: string, width: number, height: number): void {
  if (!(width > 0 && height > 0) || width * height > maxImagePixels) {
    fail(name, `a picture of ${width} x ${height} pixels is empty or passes the limit of ${maxImagePixels} pixels`);
  }
}

function decodeJpeg(bytes: Uint8Array, name: string): Picture {
  let picture;
  try {
    picture = decodeJpegFile(bytes, { useTArray: true, formatAsRGBA: false, maxResolutionInMP: maxImagePixels / 1e6, maxMemoryUsageInMB: 1024, tolerantDecoding: false });
  } catch (error) {
    fail(name, `the JPEG cannot be decoded: ${error instanceof Error ? error.message : String(error)}`);
  }
  checkSize(name, picture.width, picture.height);
  return oriented({ rgb: picture.data, width: picture.width, height: picture.height }, exifOrientation(bytes));
}

/** Grey, grey and alpha, palette, RGB and RGBA of 1 to 16 bits; alpha is laid over black, as canvas decoding without premultiplication drops it. */
function pngToRgb(bytes: Uint8Array, name: string): Picture {
  if (bytes.byteLength >= 24) {
    const header = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    checkSize(name, header.getUint32(16), header.getUint32(20));
  }
  let image;
  try {
    image = decodePng(bytes, { checkCrc: true });
  } catch (error) {
    fail(name, `the PNG cannot be decoded: ${error instanceof Error ? error.message : String(error)}`);
  }
  const { width, height, channels, depth, data, palette } = image;
  checkSize(name, width, height);
  const n = width * height;
  const rgb = new Uint8Array(n * 3);
  const perByte = depth < 8 ? 8 / depth : 1;
  const rowBytes = depth < 8 ? Math.ceil((width * channels) / perByte) : width * channels;
  const at = (x: number, y: number, c: number): number => {
    if (depth === 16) return (data[(y * width + x) * channels + c] as number) >> 8;
    if (depth === 8) return data[(y * width + x) * channels + c] as number;
    const byte = data[y * rowBytes + Math.floor(x / perByte)] as number;
    return (byte >> (8 - depth * ((x % perByte) + 1))) & ((1 << depth) - 1);
  };
  const greyScale = depth < 8 ? 255 / ((1 << depth) - 1) : 1;
  for (let y = 0, o = 0; y < height; ++y) {
    for (let x = 0; x < width; ++x, o += 3) {
      if (palette !== undefined) {
        const color = palette[at(x, y, 0)];
        if (color === undefined) fail(name, 'a palette index lies outside of the palette');
        rgb[o] = color[0] as number;
        rgb[o + 1] = color[1] as number;
        rgb[o + 2] = color[2] as number;
      } else if (channels <= 2) {
        const grey = Math.round(at(x, y, 0) * greyScale);
        rgb[o] = rgb[o + 1] = rgb[o + 2] = grey;
      } else {
        rgb[o] = at(x, y, 0);
        rgb[o + 1] = at(x, y, 1);
        rgb[o + 2] = at(x, y, 2);
      }
    }
  }
  return { rgb, width, height };
}

/**
 * Decodes a picture file by its contents, not by its name.
 *
 * @param decodeOther for types beside JPEG and PNG, where the host has a way; null where it has none
 * @throws QuantError `bad_data` where it is not a picture, broken, or too large
 */
export async function decodeImage(
  bytes: Uint8Array,
  name: string,
  decodeOther: ((bytes: Uint8Array, name: string) => Promise<Picture>) | null,
): Promise<Picture> {
  if (bytes.byteLength > maxImageBytes) fail(name, `the file passes the limit of ${maxImageBytes} bytes`);
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return decodeJpeg(bytes, name);
  if (bytes.byteLength >= 8 && hasPngSignature(bytes)) return pngToRgb(bytes, name);
  if (decodeOther !== null && bytes.byteLength > 0) return await decodeOther(bytes, name);
  fail(name, 'not a JPEG or PNG picture; convert it to one of them');
}
