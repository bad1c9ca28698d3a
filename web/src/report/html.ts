/** The report as one self-contained HTML file: no scripts, no requests, light and dark. */
import { bytesText, lostText, numberText, percentText, shareText, sqnrRank, sqnrText } from './format.js';
import type { NodeRow, Report, Sqnr, TensorRow, ValueComparison } from './schema.js';
import { type Bar, barsSvg, type CodeGrid, escapeHtml, histogramSvg } from './svg.js';

const style = `
:root{color-scheme:light dark;--back:#fbfbfa;--text:#1d2126;--dim:#667079;--line:#d9dde1;--accent:#2563a8;--fine:#3a8f5c;--fair:#b98a1b;--poor:#c2452d;--bar:#7aa7d6}
@media(prefers-color-scheme:dark){:root{--back:#15181b;--text:#e4e7ea;--dim:#98a2ab;--line:#33393f;--accent:#7fb4ee;--fine:#5fbf86;--fair:#d9ad45;--poor:#ec7a62;--bar:#466f9c}}
*{box-sizing:border-box}body{margin:0 auto;padding:1.5rem;max-width:62rem;background:var(--back);color:var(--text);font:15px/1.5 system-ui,sans-serif}
h1{font-size:1.5rem;margin:.2rem 0}h2{font-size:1.1rem;margin:2rem 0 .6rem}p{margin:.4rem 0}.dim{color:var(--dim)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(13rem,1fr));gap:.8rem;margin:1rem 0}
.card{border:1px solid var(--line);border-radius:.5rem;padding:.7rem .9rem}.card b{display:block;font-size:1.35rem}.card span{color:var(--dim);font-size:.85rem}
.scroll{overflow-x:auto}table{border-collapse:collapse;width:100%;font-size:.85rem}th,td{text-align:left;padding:.25rem .6rem;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:600}td.number,th.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}td.name{word-break:break-all;font-family:ui-monospace,monospace;font-size:.8rem}
.yes{color:var(--fine)}.no{color:var(--fair)}.warning{border-left:4px solid var(--fair);padding:.3rem .7rem;margin:.4rem 0}.error{border-left:4px solid var(--poor);padding:.3rem .7rem;margin:.4rem 0}
svg{display:block;width:100%;height:auto}svg text{fill:var(--text);font-size:11px;font-family:inherit}svg .bars{fill:var(--bar)}svg .grid{stroke:var(--accent);stroke-opacity:.6;stroke-width:.7;fill:none}svg .clip{fill:var(--poor);fill-opacity:.18}
svg .fine{fill:var(--fine)}svg .fair{fill:var(--fair)}svg .poor{fill:var(--poor)}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(19rem,1fr));gap:1rem}.pictures figure{margin:0;border:1px solid var(--line);border-radius:.5rem;padding:.6rem}.pictures figcaption{font-size:.8rem;overflow-wrap:anywhere}
details{margin:.6rem 0}summary{cursor:pointer}`;

interface Column<T> {
  readonly title: string;
  readonly isNumber?: boolean;
  readonly isName?: boolean;
  cell(row: T): string;
}

function table<T>(columns: readonly Column<T>[], rows: readonly T[]): string {
  const head = columns
    .map((column) => `<th${column.isNumber === true ? ' class="number"' : ''}>${escapeHtml(column.title)}</th>`)
    .join('');
  const body = rows
    .map(
      (row) =>
        `<tr>${columns.map((column) => `<td${column.isNumber === true ? ' class="number"' : column.isName === true ? ' class="name"' : ''}>${column.cell(row)}</td>`).join('')}</tr>`,
    )
    .join('');
  return `<div class="scroll"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function card(value: string, label: string): string {
  return `<div class="card"><b>${escapeHtml(value)}</b><span>${escapeHtml(label)}</span></div>`;
}

function cards(report: Report): string {
  const { before, after, comparison } = report;
  const list = [
    card(
      `${bytesText(before.bytes)} → ${bytesText(after.bytes)}`,
      `size: ${(before.bytes / Math.max(1, after.bytes)).toFixed(2)} times smaller`,
    ),
  ];
  const quantized = report.nodes.filter((row) => row.isQuantized).length;
  list.push(card(`${quantized} of ${report.nodes.length}`, 'nodes quantized'));
  const output = comparison?.outputs[0];
  if (output !== undefined)
    list.push(card(sqnrText(output.sqnr), `SQNR of output ${output.value}, cosine ${cosineText(output.cosine)}`));
  if (output?.top1Agreement != null)
    list.push(
      card(percentText(output.top1Agreement.share), `top-1 agreement ${shareText(output.top1Agreement).replace(/^[^(]*/, '')}`),
    );
  if (comparison?.accuracy != null) {
    const { reference, quantized: after8, lost } = comparison.accuracy;
    list.push(
      card(
        `${percentText(reference.share)} → ${percentText(after8.share)}`,
        `accuracy on ${reference.total} samples, ${lostText(lost)}; interval ${percentText(after8.low)} to ${percentText(after8.high)}`,
      ),
    );
  }
  return `<div class="cards">${list.join('')}</div>`;
}

function gridOf(row: TensorRow): CodeGrid | null {
  if (row.grid.length > 0) return { levels: [...row.grid].sort((a, b) => a - b) };
  const { qmin, qmax } = row;
  if (!/^[iu]/.test(row.dtype) || qmax <= qmin) return null;
  // With a scale for each channel there is no one grid: that of the widest channel is shown.
  const scale = row.scaleCount > 1 ? (row.rmax - row.rmin) / (qmax - qmin) : row.scale;
  const zeroPoint = row.scaleCount > 1 ? Math.round(qmin - row.rmin / scale) : row.zeroPoint;
  return { scale, zeroPoint, qmin, qmax };
}

/** What is known of a tensor's error: of a weight by itself, of an activation from the comparison, errors before it included. */
type ErrorOf = (row: TensorRow) => { readonly sqnr: Sqnr | null; readonly cosine: number | null };

function errorsOf(report: Report): ErrorOf {
  const values = new Map(report.comparison?.values.map((row) => [row.value, row]));
  return (row) => {
    const seen = row.role === 'activation' ? values.get(row.tensor) : undefined;
    return seen === undefined ? { sqnr: row.sqnr, cosine: null } : { sqnr: seen.sqnr, cosine: seen.cosine };
  };
}

const cosineText = (cosine: number | null): string => (cosine === null ? '' : cosine.toFixed(6));

/** Histograms that tell most: the tensors with the lowest SQNR or the largest clipped share first. */
function pictures(report: Report, role: TensorRow['role'], most: number, errorOf: ErrorOf): string {
  const rows = report.tensors
    .filter((row) => row.role === role && row.histogram !== null)
    .map((row) => ({ row, ...errorOf(row) }))
    .sort((a, b) => sqnrRank(a.sqnr) - sqnrRank(b.sqnr) || b.row.clippedShare - a.row.clippedShare)
    .slice(0, most);
  if (rows.length === 0) return '';
  const figures = rows.map(({ row, sqnr, cosine }) => {
    if (row.histogram === null) return '';
    const caption =
      `${escapeHtml(row.tensor)}<br><span class="dim">${escapeHtml(row.scheme || row.dtype)}, ${numberText(row.rmin)} to ${numberText(row.rmax)}` +
      `${row.scaleCount > 1 ? `, ${row.scaleCount} scales` : ''}${sqnr === null ? '' : `, SQNR ${sqnrText(sqnr)}`}` +
      `${cosine === null ? '' : `, cosine ${cosineText(cosine)}`}, clipped ${percentText(row.clippedShare, 2)}</span>`;
    return `<figure>${histogramSvg(row.histogram, gridOf(row), `values of ${row.tensor}`)}<figcaption>${caption}</figcaption></figure>`;
  });
  return `<h2>${role === 'weight' ? 'Weights' : 'Activations'}: values and codes</h2><div class="pictures">${figures.join('')}</div>`;
}

/** The most bars of one picture: more are no picture any longer. */
const mostBars = 150;

function losses(report: Report): string {
  const values = report.comparison?.values.filter((row) => !row.sqnr.isExact) ?? [];
  if (values.length === 0) return '';
  const bar = (row: ValueComparison): Bar => ({
    name: row.node,
    detail: `${row.opType}, value ${row.value}, cosine ${cosineText(row.cosine)}`,
    value: row.sqnr.sqnrDb ?? 0,
    text: sqnrText(row.sqnr),
  });
  const worst = new Set([...values].sort((a, b) => sqnrRank(a.sqnr) - sqnrRank(b.sqnr)).slice(0, mostBars));
  const shown = values.filter((row) => worst.has(row));
  const left = values.length - shown.length;
  const isNone = values.some((row) => row.sqnr.sqnrDb === null);
  return (
    `<h2>Error per layer, in order of the graph</h2><p class="dim">SQNR of each value against the float model on ${report.comparison?.samples ?? 0} samples: the longer the better; ` +
    `errors of earlier layers are included.${left > 0 ? ` The ${shown.length} worst of ${values.length} are shown, the table below has all.` : ''}` +
    `${isNone ? ' None: values became NaN or infinite, or are no longer the zeros that they were.' : ''}</p>` +
    barsSvg(shown.map(bar), 50, 15, 'SQNR of each layer') +
    valueTable(report.comparison?.values ?? [])
  );
}

function valueTable(values: readonly ValueComparison[]): string {
  const columns: Column<ValueComparison>[] = [
    { title: 'node', isName: true, cell: (row) => escapeHtml(row.node) },
    { title: 'operator', cell: (row) => escapeHtml(row.opType) },
    { title: 'value', isName: true, cell: (row) => escapeHtml(row.value) },
    { title: 'SQNR', isNumber: true, cell: (row) => sqnrText(row.sqnr) },
    { title: 'cosine', isNumber: true, cell: (row) => cosineText(row.cosine) },
    { title: 'largest error', isNumber: true, cell: (row) => numberText(row.maxAbsError) },
    { title: 'float range', isNumber: true, cell: (row) => `${numberText(row.rmin)} .. ${numberText(row.rmax)}` },
  ];
  return `<details><summary>${values.length} values, float against quantized</summary>${table(columns, values)}</details>`;
}

function notes(report: Report): string {
  const lines = report.warnings.map((text) => `<div class="warning">${escapeHtml(text)}</div>`);
  const seen = new Map<string, { severity: string; nodes: string[] }>();
  for (const row of report.lint) {
    const known = seen.get(row.message);
    if (known === undefined) seen.set(row.message, { severity: row.severity, nodes: [row.node] });
    else known.nodes.push(row.node);
  }
  for (const [message, { severity, nodes }] of seen) {
    lines.push(
      `<div class="${severity === 'info' ? 'dim' : severity}">${escapeHtml(message)}${nodes.length > 1 ? ` <span class="dim">(${nodes.length} nodes)</span>` : ''}</div>`,
    );
  }
  for (const message of report.messages) lines.push(`<p class="dim">${escapeHtml(message)}</p>`);
  return lines.length === 0 ? '' : `<h2>Good to know</h2>${lines.join('')}`;
}

/** One HTML document with everything in it. */
export function reportHtml(report: Report): string {
  const title = `${report.before.fileName}, quantized`;
  const errorOf = errorsOf(report);
  const nodeColumns: Column<NodeRow>[] = [
    { title: 'node', isName: true, cell: (row) => escapeHtml(row.graphPath === '' ? row.node : `${row.graphPath}/${row.node}`) },
    { title: 'operator', cell: (row) => escapeHtml(row.opType) },
    {
      title: '',
      cell: (row) =>
        row.isQuantized ? `<span class="yes">${escapeHtml(row.mode)}</span>` : `<span class="no">${escapeHtml(row.mode)}</span>`,
    },
    { title: 'why', cell: (row) => escapeHtml(row.reason) },
  ];
  const tensorColumns: Column<TensorRow>[] = [
    { title: 'tensor', isName: true, cell: (row) => escapeHtml(row.tensor) },
    { title: 'role', cell: (row) => row.role },
    { title: 'type', cell: (row) => escapeHtml(row.scheme || row.dtype) },
    { title: 'granularity', cell: (row) => escapeHtml(row.granularity) },
    { title: 'range', isNumber: true, cell: (row) => `${numberText(row.rmin)} .. ${numberText(row.rmax)}` },
    { title: 'clipped', isNumber: true, cell: (row) => percentText(row.clippedShare, 2) },
    { title: 'SQNR', isNumber: true, cell: (row) => sqnrText(errorOf(row).sqnr) },
    { title: 'cosine', isNumber: true, cell: (row) => cosineText(errorOf(row).cosine) },
    { title: 'before', isNumber: true, cell: (row) => (row.bytesBefore === 0 ? '' : bytesText(row.bytesBefore)) },
    { title: 'after', isNumber: true, cell: (row) => (row.bytesAfter === 0 ? '' : bytesText(row.bytesAfter)) },
  ];
  const { recipe } = report;
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'"><title>${escapeHtml(title)}</title><style>${style}</style></head><body>
<h1>${escapeHtml(title)}</h1><p class="dim">mode ${recipe.mode} for ${recipe.target}; opset ${report.before.opset}${report.after.opset === report.before.opset ? '' : ` → ${report.after.opset}`}; ${
    report.calibration === null
      ? 'no calibration'
      : `calibrated on ${report.calibration.samples} samples (${escapeHtml(report.calibration.source)}) by ${recipe.calibration.method}`
  }${report.preprocessing === null ? '' : `; pictures: ${escapeHtml(report.preprocessing)}`}</p>
${cards(report)}${notes(report)}${losses(report)}${pictures(report, 'weight', 24, errorOf)}${pictures(report, 'activation', 24, errorOf)}
<h2>Nodes</h2><details${report.nodes.length <= 80 ? ' open' : ''}><summary>${report.nodes.length} nodes</summary>${table(nodeColumns, report.nodes)}</details>
<h2>Tensors</h2><details><summary>${report.tensors.length} tensors</summary>${table(tensorColumns, report.tensors)}</details>
<h2>Recipe</h2><details><summary>as JSON: the same file serves CLI, API and page</summary><pre>${escapeHtml(JSON.stringify(recipe, null, 2))}</pre></details>
<p class="dim">bitwright ${escapeHtml(report.tool.version)}; input XXH64 ${escapeHtml(report.inputXxh64)}; report schema ${report.schemaVersion}</p></body></html>
`;
}
