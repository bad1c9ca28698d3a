import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { decodeImage } from '../../web/src/samples/decode-image.js';
import { jpegWithExif } from './support/exif-file.js';

// Made with Pillow 13: the pictures, and the SHA-256 of what it decodes them to as RGB (16-bit grey: its high bytes).
const fixture = (name: string) => new Uint8Array(readFileSync(new URL(`fixtures/${name}`, import.meta.url)));
const { pictures } = JSON.parse(readFileSync(new URL('fixtures/pillow.json', import.meta.url), 'utf8')) as {
  pictures: Record<string, { width: number; height: number; sha256?: string; mean?: number[]; first?: number[] }>;
};
const decode = (bytes: Uint8Array, name = 'x') => decodeImage(bytes, name, null);

for (const [name, { width, height, sha256 }] of Object.entries(pictures)) {
  if (sha256 === undefined) continue;
  void test(`${name} is decoded to the bytes that Pillow sees`, async () => {
    const picture = await decode(fixture(name), name);
    assert.deepEqual([picture.width, picture.height], [width, height]);
    assert.equal(createHash('sha256').update(picture.rgb).digest('hex'), sha256);
  });
}

void test('a JPEG is within what decoders may differ by', async () => {
  const { rgb, width, height } = await decode(fixture('photo.jpg'));
  const golden = pictures['photo.jpg'];
  assert.deepEqual([width, height], [golden?.width, golden?.height]);
  [0, 1, 2].forEach((c) => {
    let sum = 0;
    for (let i = c; i < rgb.length; i += 3) sum += rgb[i] as number;
    assert.ok(Math.abs(sum / (width * height) - (golden?.mean?.[c] ?? 0)) < 0.5);
  });
  golden?.first?.forEach((value, i) =>
    assert.ok(Math.abs((rgb[i] as number) - value) <= 3, `byte ${i}: ${String(rgb[i])} and ${value}`),
  );
});

void test('the EXIF orientation of a JPEG is applied', async () => {
  const photo = fixture('photo.jpg');
  const exif = jpegWithExif(6, true).slice(2);
  const turned = await decode(Uint8Array.from([...photo.slice(0, 2), ...exif, ...photo.slice(2)]));
  const upright = await decode(photo);
  assert.deepEqual([turned.width, turned.height], [upright.height, upright.width]);
  // Orientation 6: the first row of the file is the right edge of the picture.
  assert.deepEqual(turned.rgb.slice((turned.width - 1) * 3, turned.width * 3), upright.rgb.slice(0, 3));
});

void test('the kind is told by the contents, and other files are refused with their name', async () => {
  await assert.rejects(decode(new TextEncoder().encode('GIF89a'), 'a.png'), {
    code: 'bad_data',
    message: /^a\.png: not a JPEG or PNG/,
  });
  await assert.rejects(decode(new Uint8Array(0), 'empty.jpg'), { code: 'bad_data' });
  const other = { rgb: new Uint8Array(3), width: 1, height: 1 };
  assert.equal(await decodeImage(new TextEncoder().encode('GIF89a'), 'a.gif', async () => other), other);
});

void test('every tenth prefix of a picture is refused or decoded, never anything else', async () => {
  for (const name of ['rgb.png', 'palette.png', 'photo.jpg']) {
    const whole = fixture(name);
    for (let n = 0; n < whole.length; n += 10) {
      await decode(whole.slice(0, n), name).catch((error: unknown) => {
        assert.equal((error as { code?: string }).code, 'bad_data', `${name}, ${n} bytes: ${String(error)}`);
      });
    }
  }
});

void test('a header that promises 65535 x 65535 pixels is refused before memory is taken', async () => {
  const png = fixture('rgb.png');
  const view = new DataView(png.buffer);
  view.setUint32(16, 65535);
  view.setUint32(20, 65535);
  if (typeof crc32 === 'function') view.setUint32(29, crc32(png.slice(12, 29)));
  const jpeg = fixture('photo.jpg');
  for (let at = 2; at + 9 < jpeg.length; at += 2 + ((jpeg[at + 2] as number) << 8) + (jpeg[at + 3] as number)) {
    if (jpeg[at + 1] !== 0xc0) continue;
    jpeg.fill(0xff, at + 5, at + 9);
    break;
  }
  const before = process.memoryUsage().arrayBuffers;
  await assert.rejects(decode(png, 'wide.png'), { code: 'bad_data', message: /65535 x 65535/ });
  await assert.rejects(decode(jpeg, 'wide.jpg'), { code: 'bad_data' });
  assert.ok(process.memoryUsage().arrayBuffers - before < 64 * 1024 * 1024);
});
