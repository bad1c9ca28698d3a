/** A .npy file made by hand: header text and content as given, true or not. */
export function npyFile(header: string, content: Uint8Array, version = 1): Uint8Array {
  const lengthBytes = version === 1 ? 2 : 4;
  const text = new TextEncoder().encode(`${header}\n`);
  const file = new Uint8Array(8 + lengthBytes + text.length + content.length);
  file.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, version, 0]);
  const view = new DataView(file.buffer);
  if (version === 1) view.setUint16(8, text.length, true);
  else view.setUint32(8, text.length, true);
  file.set(text, 8 + lengthBytes);
  file.set(content, 8 + lengthBytes + text.length);
  return file;
}
