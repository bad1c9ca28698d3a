/** Reports for the terminal: tables, bars, and as much colour as it takes. */
import type { NodeTime, SessionInfo } from '../session.js';
import { summarizeProfile } from './profile.js';
import type { ExplainRow, Tensor } from '../types.js';
import { bytesText, countsText, lostText, numberText, percentText, shareText, sqnrRank, sqnrText } from './format.js';
import type { Comparison, LintRow, ModelInfo, NodeRow, Report, ValueComparison } from './schema.js';

export interface TerminalOptions {
  readonly columns: number;
  readonly isColor: boolean;
}

interface Column {
  readonly title: string;
  readonly isRight?: boolean;
  /** The column that gives way where the terminal is narrow. */
  readonly isElastic?: boolean;
}

function clipped(cell: string, width: number): string {
  return cell.length <= width ? cell : width <= 1 ? cell.slice(0, width) : `${cell.slice(0, width - 1)}…`;
}

/** Aligned columns; the elastic ones shrink to fit. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[], width: number): string {
  const widths = columns.map((column, i) => Math.max(column.title.length, ...rows.map((row) => (row[i] ?? '').length)));
  let excess = widths.reduce((sum, w) => sum + w + 2, -2) - Math.max(width, 60);
  const elastic = columns.map((_, i) => i).filter((i) => columns[i]?.isElastic === true);
  for (const i of elastic.sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0))) {
    if (excess <= 0) break;
    const cut = Math.min(excess, Math.max(0, (widths[i] ?? 0) - 12));
    widths[i] = (widths[i] ?? 0) - cut;
    excess -= cut;
  }
  const line = (cells: readonly string[]): string =>
    columns
      .map((column, i) => {
        const cell = clipped(cells[i] ?? '', widths[i] ?? 0);
        return column.isRight === true ? cell.padStart(widths[i] ?? 0) : cell.padEnd(widths[i] ?? 0);
      })
      .join('  ')
      .trimEnd();
  return [line(columns.map((column) => column.title)), ...rows.map(line)].join('\n');
}

function bar(share: number, width: number): string {
  const filled = Math.max(0, Math.min(width, Math.round(share * width)));
  return '█'.repeat(filled) + '·'.repeat(width - filled);
}

function painter(isColor: boolean) {
  const paint = (code: number) => (text: string) => (isColor ? `\x1b[${code}m${text}\x1b[0m` : text);
  return { bold: paint(1), dim: paint(2), red: paint(31), green: paint(32), yellow: paint(33) };
}

function worstFirst(values: readonly ValueComparison[]): ValueComparison[] {
  return values.filter((row) => !row.sqnr.isExact).sort((a, b) => sqnrRank(a.sqnr) - sqnrRank(b.sqnr));
}

function valuesTable(values: readonly ValueComparison[], columns: number): string {
  // 60 dB is better than any 8-bit layer: a full bar.
  return table(
    [
      { title: 'value', isElastic: true },
      { title: 'node', isElastic: true },
      { title: 'operator' },
      { title: 'SQNR', isRight: true },
      { title: 'cosine', isRight: true },
      { title: '' },
    ],
    values.map((row) => [
      row.value,
      row.node,
      row.opType,
      sqnrText(row.sqnr),
      row.cosine.toFixed(5),
      bar((row.sqnr.sqnrDb ?? 0) / 60, 20),
    ]),
    columns,
  );
}

export function comparisonText(comparison: Comparison, options: TerminalOptions = { columns: 120, isColor: false }): string {
  const lines = [`Compared on ${comparison.samples} sample${comparison.samples === 1 ? '' : 's'}, float against quantized`];
  for (const output of comparison.outputs) {
    const median = output.medianSqnrDb === null ? '' : `, median ${output.medianSqnrDb.toFixed(1)} dB`;
    lines.push(`  output ${output.value}: SQNR ${sqnrText(output.sqnr)}${median}, cosine ${output.cosine.toFixed(6)}`);
    if (output.top1Agreement !== null) lines.push(`    top-1 agreement ${shareText(output.top1Agreement)}`);
  }
  if (comparison.accuracy !== null) {
    const { reference, quantized, lost } = comparison.accuracy;
    lines.push(
      `  accuracy float      ${shareText(reference)}`,
      `  accuracy quantized  ${shareText(quantized)}`,
      `  ${lostText(lost)} of ${reference.total} samples`,
    );
  }
  const worst = worstFirst(comparison.values).slice(0, 12);
  if (worst.length > 0) lines.push('', 'Where precision is lost (worst first)', valuesTable(worst, options.columns));
  return lines.join('\n');
}

function nodeSummary(nodes: readonly NodeRow[], columns: number): string[] {
  const quantized = nodes.filter((row) => row.isQuantized);
  const folded = nodes.filter((row) => row.mode === 'folded');
  const float = nodes.filter((row) => !row.isQuantized && row.mode !== 'folded');
  const counted = (rows: readonly NodeRow[]): string => `(${countsText(rows.map((row) => row.opType)) || 'none'})`;
  const lines = [
    `Nodes: ${quantized.length} quantized ${counted(quantized)}`,
    `       ${float.length} in float ${counted(float)}`,
  ];
  if (folded.length > 0) lines.push(`       ${folded.length} folded into others ${counted(folded)}`);
  if (float.length > 0) {
    const shown = float.slice(0, 15);
    lines.push(
      '',
      table(
        [{ title: 'left in float', isElastic: true }, { title: 'operator' }, { title: 'why', isElastic: true }],
        shown.map((row) => [row.node, row.opType, row.reason]),
        columns,
      ),
    );
    if (float.length > shown.length) lines.push(`... and ${float.length - shown.length} more (--json or --report lists all)`);
  }
  return lines;
}

/** One line for each kind of finding, with how many nodes it is of. */
export function lintLines(lint: readonly LintRow[]): { readonly severity: LintRow['severity']; readonly text: string }[] {
  const found = new Map<string, { readonly row: LintRow; n: number }>();
  for (const row of lint) {
    const key = `${row.severity}\0${row.message}`;
    const known = found.get(key);
    if (known === undefined) found.set(key, { row, n: 1 });
    else known.n += 1;
  }
  return [...found.values()].map(({ row: { severity, message }, n }) => ({
    severity,
    text: `${severity}: ${message}${n > 1 ? ` (${n} nodes)` : ''}`,
  }));
}

export function reportText(report: Report, options: TerminalOptions = { columns: 120, isColor: false }): string {
  const { bold, dim, yellow, red } = painter(options.isColor);
  const { before, after, recipe } = report;
  const lines = [
    bold(`${before.fileName}: ${recipe.mode} for ${recipe.target}`),
    `Size:  ${bytesText(before.bytes)} -> ${bytesText(after.bytes)} (${percentText(after.bytes / before.bytes, 0)}, ${(before.bytes / after.bytes).toFixed(2)} times smaller)`,
    `Opset: ${before.opset}${after.opset === before.opset ? '' : ` -> ${after.opset}`}`,
  ];
  if (report.calibration !== null)
    lines.push(
      `Calibrated on ${report.calibration.samples} samples (${report.calibration.source}), method ${recipe.calibration.method}`,
    );
  if (report.preprocessing !== null) lines.push(`Pictures: ${report.preprocessing}`);
  for (const message of report.messages) lines.push(dim(`- ${message}`));
  for (const warning of report.warnings) lines.push(yellow(`! ${warning}`));
  lines.push('', ...nodeSummary(report.nodes, options.columns));
  const weights = report.tensors
    .filter((row) => row.role === 'weight' && row.sqnr?.isExact === false)
    .sort((a, b) => sqnrRank(a.sqnr) - sqnrRank(b.sqnr));
  if (weights.length > 0) {
    lines.push(
      '',
      'Weights (worst first)',
      table(
        [
          { title: 'weight', isElastic: true },
          { title: 'type' },
          { title: 'scales', isRight: true },
          { title: 'range', isRight: true },
          { title: 'clipped', isRight: true },
          { title: 'SQNR', isRight: true },
          { title: 'size', isRight: true },
        ],
        weights
          .slice(0, 8)
          .map((row) => [
            row.tensor,
            row.scheme || row.dtype,
            String(row.scaleCount),
            `${numberText(row.rmin)} .. ${numberText(row.rmax)}`,
            percentText(row.clippedShare, 2),
            sqnrText(row.sqnr),
            `${bytesText(row.bytesBefore)} -> ${bytesText(row.bytesAfter)}`,
          ]),
        options.columns,
      ),
    );
  }
  if (report.comparison !== null) lines.push('', comparisonText(report.comparison, options));
  if (report.lint.length > 0) {
    lines.push('', 'Notes for the target');
    for (const { severity, text } of lintLines(report.lint))
      lines.push(severity === 'error' ? red(`  ${text}`) : severity === 'warning' ? yellow(`  ${text}`) : `  ${text}`);
  }
  return lines.join('\n');
}

function shapeText(shape: readonly number[] | null, names: readonly string[] = []): string {
  if (shape === null) return '[?]';
  return `[${shape.map((extent, i) => (extent >= 0 ? String(extent) : names[i] || '?')).join(',')}]`;
}

export function modelInfoText(info: ModelInfo, columns = 120): string {
  const values = (rows: ModelInfo['inputs']): string[] =>
    rows.map((row) => `  ${row.name}  ${row.dtype}${shapeText(row.shape, row.dimNames)}`);
  const largest = [...info.tensors].sort((a, b) => b.bytes - a.bytes).slice(0, 12);
  return [
    `${info.fileName}: ${bytesText(info.bytes)}${info.externalBytes > 0 ? ` and ${bytesText(info.externalBytes)} of external data` : ''}, IR ${info.irVersion}, opset ${info.opset}${info.producer ? `, by ${info.producer}` : ''}`,
    `${info.nodes} nodes, ${info.parameters} parameters${info.isQuantized ? ', quantized already' : ''}`,
    info.notRunnable === '' ? 'Our engine runs it.' : `Our engine cannot run it: ${info.notRunnable}`,
    '',
    'Inputs',
    ...values(info.inputs),
    'Outputs',
    ...values(info.outputs),
    '',
    `Operators: ${info.operators.map((row) => `${row.domain === '' ? '' : `${row.domain}:`}${row.opType} ${row.count}${row.isRunnable ? '' : ' (unknown)'}`).join(', ')}`,
    '',
    table(
      [
        { title: 'largest tensors', isElastic: true },
        { title: 'type' },
        { title: 'codes' },
        { title: 'shape' },
        { title: 'size', isRight: true },
      ],
      largest.map((row) => [row.name, row.dtype, row.scheme, shapeText(row.shape), bytesText(row.bytes)]),
      columns,
    ),
    ...(info.metadata.length > 0
      ? ['', 'Metadata', ...info.metadata.map(([key, value]) => `  ${key}: ${clipped(value, 100)}`)]
      : []),
  ].join('\n');
}

/** Shape, range and the first values; for one row of scores also the five largest. */
export function tensorText(name: string, tensor: Tensor): string {
  const values = Array.from(tensor.data as ArrayLike<number | bigint>, Number);
  const finite = values.filter(Number.isFinite);
  const range =
    finite.length === 0
      ? ''
      : `, ${numberText(finite.reduce((a, b) => Math.min(a, b), Infinity))} .. ${numberText(finite.reduce((a, b) => Math.max(a, b), -Infinity))}`;
  const lines = [`${name}: ${tensor.dtype}${shapeText(tensor.shape)}${range}`];
  const isScores = tensor.dtype === 'f32' && tensor.shape.length === 2 && tensor.shape[0] === 1 && values.length >= 5;
  if (isScores) {
    const best = values
      .map((value, i) => ({ value, i }))
      .sort((a, b) => b.value - a.value)
      .slice(0, 5);
    lines.push(`  largest: ${best.map(({ value, i }) => `${i}: ${numberText(value)}`).join(', ')}`);
  } else {
    lines.push(`  ${values.slice(0, 8).map(numberText).join(', ')}${values.length > 8 ? ', ...' : ''}`);
  }
  return lines.join('\n');
}

const infoText = (info: SessionInfo): string =>
  `${info.arithmetic}${info.integer ? '' : ' (the model has no integer parts)'}, ${info.kernels} kernels, ${info.module} module, ` +
  `${info.threads} thread${info.threads === 1 ? '' : 's'} (${info.reason})`;

/** Every step of a plan, in order. */
export function explainText(info: SessionInfo, rows: readonly ExplainRow[], columns = 140): string {
  const total = rows.reduce((sum, row) => sum + row.timeMs, 0);
  const text = table(
    [
      { title: 'step', isElastic: true },
      { title: 'kernel' },
      { title: 'layout' },
      { title: 'ms', isRight: true },
      { title: 'share', isRight: true },
      { title: 'stands for, or why it is no integer step', isElastic: true },
    ],
    rows.map((row) => [
      row.node,
      row.integer ? row.kernel || 'codes' : 'float',
      row.layout,
      (row.timeMs / Math.max(1, row.runs)).toFixed(3),
      percentText(row.timeMs / Math.max(total, 1e-9)),
      row.integer ? row.nodes : row.reason,
    ]),
    columns,
  );
  const integer = rows.filter((row) => row.integer);
  const share = integer.reduce((sum, row) => sum + row.timeMs, 0) / Math.max(total, 1e-9);
  return `${infoText(info)}\n\n${text}\n\n${integer.length} of ${rows.length} steps on codes, ${percentText(share)} of the time`;
}

export interface BenchResult {
  readonly info: SessionInfo;
  /** From the model's bytes to the first result. */
  readonly firstMs: number;
  readonly rows: readonly {
    readonly name: string;
    readonly medianMs: number;
    readonly leastMs: number;
    readonly mostMs: number;
    readonly runs: number;
  }[];
}

export function benchText({ info, firstMs, rows }: BenchResult, columns = 120): string {
  const own = rows[0]?.medianMs ?? 0;
  const text = table(
    [
      { title: 'engine' },
      { title: 'median ms', isRight: true },
      { title: 'least', isRight: true },
      { title: 'most', isRight: true },
      { title: 'times ours', isRight: true },
    ],
    rows.map((row) => [
      row.name,
      row.medianMs.toFixed(3),
      row.leastMs.toFixed(3),
      row.mostMs.toFixed(3),
      (row.medianMs / Math.max(own, 1e-9)).toFixed(2),
    ]),
    columns,
  );
  return `${infoText(info)}\nfirst result after ${firstMs.toFixed(0)} ms\n\n${text}`;
}

export function profileText(rows: readonly NodeTime[], columns = 120): string {
  return table(
    [
      { title: 'node', isElastic: true },
      { title: 'operator' },
      { title: 'ms', isRight: true },
      { title: 'share', isRight: true },
    ],
    summarizeProfile(rows)
      .nodes.slice(0, 20)
      .map((row) => [row.node, row.opType, row.timeMs.toFixed(3), percentText(row.share)]),
    columns,
  );
}
