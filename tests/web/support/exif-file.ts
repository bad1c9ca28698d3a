/** The head of a JPEG whose EXIF segment holds nothing but an orientation tag. */
export function jpegWithExif(orientation: number, isLittle: boolean): Uint8Array {
  const file = new Uint8Array(2 + 2 + 2 + 6 + 8 + 2 + 12 + 4);
  const view = new DataView(file.buffer);
  view.setUint16(0, 0xffd8);
  view.setUint16(2, 0xffe1);
  view.setUint16(4, file.length - 4);
  file.set(new TextEncoder().encode('Exif\0\0'), 6);
  view.setUint16(12, isLittle ? 0x4949 : 0x4d4d);
  view.setUint16(14, 42, isLittle);
  view.setUint32(16, 8, isLittle);
  view.setUint16(20, 1, isLittle);
  view.setUint16(22, 0x0112, isLittle);
  view.setUint16(24, 3, isLittle);
  view.setUint32(26, 1, isLittle);
  view.setUint16(30, orientation, isLittle);
  return file;
}
