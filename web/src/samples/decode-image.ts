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

/**
 * YCbCr to RGB in place, in the fixed point of libjpeg (ITU-R 601, 16 fractional bits, rounded). The decoder's own conversion
 * cuts fractions off, which darkens every picture by half a step.
 */
function convertYcc(pixels: Uint8Array): void {
  for (let i = 0; i + 2 < pixels.length; i += 3) {
    const y = pixels[i] as number;
    const cb = (pixels[i + 1] as number) - 128;
    const cr = (pixels[i + 2] as number) - 128;
    const r = y + ((91881 * cr + 32768) >> 16);
    const g = y + ((-22554 * cb - 46802 * cr + 32768) >> 16);
    const b = y + ((116130 * cb + 32768) >> 16);
    pixels[i] = r < 0 ? 0 : r > 255 ? 255 : r;
    pixels[i + 1] = g < 0 ? 0 : g > 255 ? 255 : g;
    pixels[i + 2] = b < 0 ? 0 : b > 255 ? 255 : b;
  }
}

/** True for three components that are not RGB already (an Adobe marker says so). */
function isYcc(bytes: Uint8Array): boolean {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let isRgb = false;
  for (let at = 2; at + 4 <= view.byteLength && view.getUint8(at) === 0xff;) {
    const marker = view.getUint8(at + 1);
    const length = view.getUint16(at + 2);
    if (marker === 0xda || length < 2) break;
    if (marker === 0xee && length >= 14 && at + 16 <= view.byteLength && view.getUint32(at + 4) === 0x41646f62)
      isRgb = view.getUint8(at + 15) === 0;
    const isFrame = marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
    if (isFrame && length >= 8 && at + 10 <= view.byteLength) return view.getUint8(at + 9) === 3 && !isRgb;
    at += 2 + length;
  }
  return false;
}

function decodeJpeg(bytes: Uint8Array, name: string): Picture {
  const converts = isYcc(bytes);
  let picture;
  try {
    picture = decodeJpegFile(bytes, {
      useTArray: true,
      formatAsRGBA: false,
      maxResolutionInMP: maxImagePixels / 1e6,
      maxMemoryUsageInMB: 1024,
      tolerantDecoding: false,
      ...(converts && { colorTransform: false }),
    });
  } catch (error) {
    fail(name, `the JPEG cannot be decoded: ${error instanceof Error ? error.message : String(error)}`);
  }
  checkSize(name, picture.width, picture.height);
  if (converts) convertYcc(picture.data);
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

const isJpeg = (bytes: Uint8Array): boolean => bytes[0] === 0xff && bytes[1] === 0xd8;
const isPng = (bytes: Uint8Array): boolean => bytes.byteLength >= 8 && hasPngSignature(bytes);

/** Whether a picture that begins like this gives the same tensor everywhere; others are left to the host. */
export const isDecodedHere = (head: Uint8Array): boolean => isJpeg(head) || isPng(head);

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
  if (isJpeg(bytes)) return decodeJpeg(bytes, name);
  if (isPng(bytes)) return pngToRgb(bytes, name);
  if (decodeOther !== null && bytes.byteLength > 0) return await decodeOther(bytes, name);
  fail(name, 'not a JPEG or PNG picture; convert it to one of them');
}
