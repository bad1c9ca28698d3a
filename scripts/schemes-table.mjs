// Tries every named scheme on the weights of every development model, with the built package, and writes docs/schemes.md and
// docs/images/schemes.svg: `node scripts/schemes-table.mjs [--shared DIR] [--only TEXT] [--no-write]`.
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const { listSchemes, loadModel, openToolkit, tryScheme } = await import(join(ROOT, 'web/dist/node.js'));
const MIN_ELEMENTS = 1024; // smaller constants are no weights
const SHOWN = [
  'i8',
  'i8_b32',
  'mxfp8',
  'i6',
  'i4',
  'i4_b32',
  'u4_b32',
  'nf4',
  'mxfp4',
  'nvfp4',
  'kmeans16',
  'u2_b32',
  'ternary',
  'binary',
];

function optionsOf(argv) {
  const options = { shared: join(ROOT, '..', 'shared'), only: '', isWritten: true };
  for (let i = 0; i < argv.length; i++) {
    if (argv[i] === '--no-write') options.isWritten = false;
    else options[argv[i].replace(/^--/, '')] = argv[++i];
  }
  return options;
}

/** Of one model: for each scheme the noise and the stored bits of all its weights, and their signal. */
async function measure(toolkit, path, schemes) {
  const model = await loadModel(toolkit, path);
  const sums = { name: basename(path, '.onnx'), n: 0, signal: 0, schemes: new Map() };
  try {
    for (const { name, dtype, shape } of model.info.tensors) {
      const n = shape.reduce((product, extent) => product * extent, 1);
      if (dtype !== 'f32' || shape.length < 2 || n < MIN_ELEMENTS) continue;
      // Two values a group cannot be told from one another: binary is never exact, so it tells the signal.
      const signalOf = async () => {
        const { meanSquaredError, sqnr } = await tryScheme(
          { model, tensor: name },
          { scheme: 'binary', granularity: 'per_tensor' },
        );
        return sqnr.sqnrDb === null ? 0 : meanSquaredError * n * 10 ** (sqnr.sqnrDb / 10);
      };
      const signal = await signalOf();
      if (!(signal > 0)) continue; // a constant of one magnitude
      sums.n += n;
      sums.signal += signal;
      for (const { name: scheme } of schemes) {
        const report = await tryScheme({ model, tensor: name }, { scheme });
        const sum = sums.schemes.get(scheme) ?? { noise: 0, bits: 0 };
        sum.noise += report.meanSquaredError * n;
        sum.bits += report.bitsPerWeight * n;
        sums.schemes.set(scheme, sum);
      }
    }
  } finally {
    model.dispose();
  }
  return sums;
}

const median = (numbers) => [...numbers].sort((a, b) => a - b)[Math.floor(numbers.length / 2)];
const decibels = (signal, noise) => (noise > 0 ? 10 * Math.log10(signal / noise) : Infinity);
const dbText = (db) => (Number.isFinite(db) ? db.toFixed(1) : 'exact');

/** Rate against distortion: a point for each scheme, and the 6 dB a bit that uniform steps cannot beat. */
function picture(rows) {
  const [width, height, left, bottom] = [960, 620, 60, 50];
  const shown = rows.filter((row) => row.bits <= 17 && Number.isFinite(row.db));
  const maxBits = 17;
  const maxDb = Math.ceil(Math.max(...shown.map((row) => row.db)) / 10) * 10;
  const x = (bits) => left + (bits / maxBits) * (width - left - 30);
  const y = (db) => height - bottom - (db / maxDb) * (height - bottom - 40);
  const parts = [];
  const text = (at, to, words, more = '') =>
    parts.push(`<text x="${at.toFixed(1)}" y="${to.toFixed(1)}" ${more}>${words}</text>`);
  for (let bits = 0; bits <= maxBits; bits++) {
    parts.push(`<line x1="${x(bits)}" y1="${y(0)}" x2="${x(bits)}" y2="${y(maxDb)}" class="grid"/>`);
    text(x(bits), y(0) + 18, bits, 'text-anchor="middle"');
  }
  for (let db = 0; db <= maxDb; db += 10) {
    parts.push(`<line x1="${x(0)}" y1="${y(db)}" x2="${x(maxBits)}" y2="${y(db)}" class="grid"/>`);
    text(x(0) - 8, y(db) + 4, db, 'text-anchor="end"');
  }
  parts.push(`<line x1="${x(0)}" y1="${y(0)}" x2="${x(maxDb / 6.02)}" y2="${y(maxDb)}" class="bound"/>`);
  const taken = [];
  for (const row of [...shown].sort((a, b) => a.bits - b.bits || b.db - a.db)) {
    const [cx, cy] = [x(row.bits), y(row.db)];
    parts.push(
      `<circle cx="${cx.toFixed(1)}" cy="${cy.toFixed(1)}" r="4"><title>${row.name}: ${row.bits.toFixed(2)} bits, ${row.db.toFixed(1)} dB</title></circle>`,
    );
    // A label goes where no other one is: beside its point, else further up or down.
    const labelWidth = row.name.length * 6.6;
    const places = [0, 12, -12, 24, -24, 36, -36, 48, -48].flatMap((shift) => [
      { lx: cx + 7, ly: cy + 4 + shift },
      { lx: cx - 7 - labelWidth, ly: cy + 4 + shift },
    ]);
    const isFree = ({ lx, ly }) =>
      taken.every((other) => lx + labelWidth < other.lx || other.lx + other.width < lx || Math.abs(ly - other.ly) > 11);
    const place = places.find(isFree) ?? places[0];
    taken.push({ ...place, width: labelWidth });
    text(place.lx, place.ly, row.name);
  }
  text(width / 2, height - 12, 'bits per weight, scales and codebooks included', 'text-anchor="middle"');
  text(left, 22, 'SQNR, dB: median over the development models; the line is 6.02 dB a bit');
  const style =
    'text{font:11px sans-serif;fill:#334}circle{fill:#2563eb}.grid{stroke:#e5e7eb}.bound{stroke:#f59e0b;stroke-dasharray:5 4}';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}"><style>${style}</style><rect width="100%" height="100%" fill="#fff"/>${parts.join('')}</svg>\n`;
}

const options = optionsOf(process.argv.slice(2));
const models = join(options.shared, 'models');
const paths = readdirSync(models, { recursive: true })
  .filter((name) => name.endsWith('.onnx') && !name.includes('malformed') && name.includes(options.only))
  .sort()
  .map((name) => join(models, name));
const toolkit = await openToolkit();
const schemes = await listSchemes(toolkit);
const measured = [];
for (const path of paths) {
  const start = performance.now();
  const sums = await measure(toolkit, path, schemes);
  if (sums.n > 0) measured.push(sums);
  console.log(`${relative(models, path)}: ${sums.n} weights, ${((performance.now() - start) / 1000).toFixed(0)} s`);
}
await toolkit.dispose();

const rows = schemes.map((scheme) => {
  const all = measured.map((model) => ({ model, sum: model.schemes.get(scheme.name) }));
  const total = measured.reduce((sum, model) => sum + model.n, 0);
  const bits = all.reduce((sum, { sum: s }) => sum + s.bits, 0) / total;
  const perModel = all.map(({ model, sum }) => ({ name: model.name, db: decibels(model.signal, sum.noise) }));
  const db = median(perModel.map((model) => model.db));
  const worst = perModel.reduce((a, b) => (b.db < a.db ? b : a));
  return { ...scheme, bits, db, worst };
});
const granularity = (row) => (row.granularity === 'per_block' ? `per_block ${row.blockSize}` : row.granularity);
const total = measured.reduce((sum, model) => sum + model.n, 0);
const text = `# Schemes

\`bitwright schemes\` lists them, \`bitwright inspect MODEL --tensor NAME --scheme SCHEME\` shows what one makes of a tensor, recipes
take their names (\`weight: { scheme: 'nf4' }\`), and \`tryScheme\` is the same in the API. Formulas stand beside the code in
\`src/quant/encodings\`; adding one is a row in \`encodings.inc\`, its file and perhaps a name in \`schemes.inc\`.

\`real = scale * (code - zero_point)\`. The survey of Gholami et al. writes \`Q(r) = Int(r/S) - Z\`, \`r' = S (Q(r) + Z)\`: the same
function with \`Z = -zero_point\`.

Binary and ternary weights are multiplied by xor and popcount in our engine where signs (\`Sign\`) meet them; elsewhere files of these
schemes load as floats.

Measured on all ${total} weights (constants of f32 with at least two axes and ${MIN_ELEMENTS} elements) of ${measured.length} development models,
with min/max ranges, by \`node scripts/schemes-table.mjs\`. Bits per weight count scales, zero points and codebooks (which weigh
on small tensors). SQNR is the median over the models of 10 log10(sum x^2 / sum (x - x')^2) over a model's weights, in dB. Blocks
lie along the axis that a node sums over; where that axis is shorter than a block (the input channels of depthwise convolutions)
there is one scale a channel, as \`quantize\` does it.

![Bits per weight against SQNR](images/schemes.svg)

| scheme | bits per weight | SQNR, dB | worst model | granularity | scales | real of a code | held by |
|---|---:|---:|---|---|---|---|---|
${rows
  .map(
    (row) =>
      `| ${row.name} | ${row.bits.toFixed(2)} | ${dbText(row.db)} | ${dbText(row.worst.db)} (${row.worst.name}) | ${granularity(row)} | ${row.scaleForm} | ${row.formula} | ${row.targets} |`,
  )
  .join('\n')}

## Model by model

SQNR in dB.

| model | weights | ${SHOWN.join(' | ')} |
|---|---:|${SHOWN.map(() => '---:|').join('')}
${measured
  .map(
    (model) =>
      `| ${model.name} | ${model.n} | ${SHOWN.map((name) => dbText(decibels(model.signal, model.schemes.get(name).noise))).join(' | ')} |`,
  )
  .join('\n')}
`;
if (options.isWritten) {
  mkdirSync(join(ROOT, 'docs/images'), { recursive: true });
  writeFileSync(join(ROOT, 'docs/schemes.md'), text);
  writeFileSync(join(ROOT, 'docs/images/schemes.svg'), picture(rows));
} else {
  console.log(text);
}
