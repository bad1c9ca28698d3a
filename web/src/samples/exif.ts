import type { Picture } from '../worker/platform.js';

/** The orientation tag (1 to 8) of a JPEG's EXIF header; 1 where there is none or it is broken. */
export function exifOrientation(bytes: Uint8Array): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 2;
  while (at + 4 <= view.byteLength && view.getUint8(at) === 0xff) {
    const marker = view.getUint8(at + 1);
    const length = view.getUint16(at + 2);
    if (marker === 0xda || length < 2) return 1;
    if (marker === 0xe1 && at + 10 <= view.byteLength && view.getUint32(at + 4) === 0x45786966) {
      return tiffOrientation(view, at + 10, Math.min(at + 2 + length, view.byteLength));
    }
    at += 2 + length;
  }
  return 1;
}

function tiffOrientation(view: DataView, start: number, end: number): number {
  if (start + 8 > end) return 1;
  const isLittle = view.getUint16(start) === 0x4949;
  const directory = start + view.getUint32(start + 4, isLittle);
  if (directory + 2 > end) return 1;
  const n = view.getUint16(directory, isLittle);
  for (let i = 0; i < n; ++i) {
    const entry = directory + 2 + 12 * i;
    if (entry + 12 > end) return 1;
    if (view.getUint16(entry, isLittle) === 0x0112) {
      const value = view.getUint16(entry + 8, isLittle);
      return value >= 1 && value <= 8 ? value : 1;
    }
  }
  return 1;
}

/** The picture as it is meant to be seen: mirrored and turned by the EXIF orientation. */
export function oriented(picture: Picture, orientation: number): Picture {
  if (orientation === 1) return picture;
  const { rgb, width, height } = picture;
  const isTurned = orientation >= 5;
  const newWidth = isTurned ? height : width;
  const newHeight = isTurned ? width : height;
  const out = new Uint8Array(rgb.length);
  for (let y = 0; y < newHeight; ++y) {
    for (let x = 0; x < newWidth; ++x) {
      let sx = isTurned ? y : x;
      let sy = isTurned ? x : y;
      if (orientation === 2 || orientation === 3 || orientation === 7 || orientation === 8) sx = width - 1 - sx;
      if (orientation === 3 || orientation === 4 || orientation === 6 || orientation === 7) sy = height - 1 - sy;
      const from = (sy * width + sx) * 3;
      const to = (y * newWidth + x) * 3;
      out[to] = rgb[from] as number;
      out[to + 1] = rgb[from + 1] as number;
      out[to + 2] = rgb[from + 2] as number;
    }
  }
  return { rgb: out, width: newWidth, height: newHeight };
}
