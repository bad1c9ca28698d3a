import {
  bytesText,
  type Model,
  type NodeRow,
  outputName,
  lostText,
  percentText,
  type QuantizeResult,
  type Report,
  reportHtml,
  type Sample,
  sqnrText,
  type ValueComparison,
} from 'bitwright';
import { card, Downloads, element, make, table } from './page.js';
import { hideRun, offerRun } from './run-section.js';

const section = element('result', HTMLElement);
const cards = element('cards', HTMLDivElement);
const links = element('downloads', HTMLParagraphElement);
const notes = element('notes', HTMLUListElement);
const layers = element('layers', HTMLDivElement);
const nodes = element('nodes', HTMLDivElement);
const floatOnly = element('float-only', HTMLInputElement);
const report = element('report', HTMLIFrameElement);
const downloads = new Downloads();
const mostShown = 400;

let shown: QuantizeResult | undefined;

const intervalText = (low: number, high: number): string => `95 % interval ${percentText(low)} to ${percentText(high)}`;

function cardsOf({ before, after, comparison, nodes: rows }: Report): HTMLElement[] {
  const list = [
    card(
      `${bytesText(before.bytes)} → ${bytesText(after.bytes)}`,
      `${(before.bytes / Math.max(1, after.bytes)).toFixed(2)} times smaller`,
    ),
    card(`${rows.filter((row) => row.isQuantized).length} of ${rows.length}`, 'nodes quantized'),
  ];
  const output = comparison?.outputs[0];
  if (output !== undefined) list.push(card(sqnrText(output.sqnr), `signal to quantization noise of ${output.value}`));
  if (output?.top1Agreement != null) {
    const { share, count, total, low, high } = output.top1Agreement;
    list.push(card(percentText(share), `same top-1 class: ${count} of ${total} samples; ${intervalText(low, high)}`));
  }
  if (comparison?.accuracy != null) {
    const { reference, quantized, lost } = comparison.accuracy;
    list.push(
      card(
        `${percentText(reference.share)} → ${percentText(quantized.share)}`,
        `accuracy on ${reference.total} labelled samples, ${lostText(lost)}; ${intervalText(quantized.low, quantized.high)}`,
      ),
    );
  }
  return list;
}

function showLayers({ comparison }: Report): void {
  const values = (comparison?.values ?? [])
    .filter((row) => !row.sqnr.isExact)
    // No figure at all (NaN or infinity) is the worst.
    .sort((a, b) => (a.sqnr.sqnrDb ?? -Infinity) - (b.sqnr.sqnrDb ?? -Infinity))
    .slice(0, mostShown);
  layers.hidden = values.length === 0;
  const meter = (row: ValueComparison): HTMLElement => {
    const bar = make('meter');
    bar.max = 60;
    bar.low = 15;
    bar.high = 30;
    bar.optimum = 60;
    bar.value = row.sqnr.sqnrDb ?? 0;
    bar.ariaLabel = `SQNR of ${row.node}`;
    return bar;
  };
  const all = table(
    'Layers, those that lost most first',
    [
      { title: 'node', kind: 'name', cell: (row: ValueComparison) => row.node },
      { title: 'SQNR', kind: 'number', cell: (row) => sqnrText(row.sqnr) || 'none' },
      { title: '', cell: meter },
      { title: 'operator', cell: (row) => row.opType },
      { title: 'largest error', kind: 'number', cell: (row) => row.maxAbsError.toPrecision(3) },
      { title: 'cosine', kind: 'number', cell: (row) => row.cosine.toFixed(5) },
    ],
    values,
  );
  layers.replaceChildren(make('h3', '', 'What lost most'), all);
}

function showNodes(rows: readonly NodeRow[]): void {
  const kept = rows.filter((row) => !floatOnly.checked || row.mode === 'float');
  const all = table(
    'Nodes: what became of each, and why',
    [
      { title: 'node', kind: 'name', cell: (row: NodeRow) => (row.graphPath === '' ? row.node : `${row.graphPath}/${row.node}`) },
      { title: 'operator', cell: (row) => row.opType },
      { title: 'now', cell: (row) => make('span', row.isQuantized ? 'yes' : row.mode === 'float' ? 'no' : 'dim', row.mode) },
      { title: 'why', cell: (row) => row.reason },
    ],
    kept.slice(0, mostShown),
  );
  const rest = kept.length - mostShown;
  nodes.replaceChildren(all, ...(rest > 0 ? [make('p', 'dim', `and ${rest} more: see report.json`)] : []));
}

function showDownloads(result: QuantizeResult, fileName: string): void {
  downloads.clear();
  const { external } = result;
  const name = outputName(fileName, result.report.recipe);
  const binary = 'application/octet-stream';
  links.replaceChildren(
    downloads.link(name, result.bytes, binary, true),
    ...(external === null ? [] : [downloads.link(external.name, external.bytes, binary, true)]),
    downloads.link('report.html', reportHtml(result.report), 'text/html'),
    downloads.link('report.json', JSON.stringify(result.report, null, 2), 'application/json'),
  );
}

export function showResult(result: QuantizeResult, model: Model, sample: Sample | undefined): void {
  hideResult();
  shown = result;
  cards.replaceChildren(...cardsOf(result.report));
  const { warnings, lint, messages } = result.report;
  const slow = lint.filter((row) => row.severity !== 'info').map((row) => row.message);
  notes.replaceChildren(...[...new Set([...warnings, ...slow, ...messages])].map((text) => make('li', '', text)));
  showDownloads(result, model.info.fileName);
  showLayers(result.report);
  showNodes(result.report.nodes);
  report.srcdoc = reportHtml(result.report);
  offerRun(model, result.model, sample);
  section.hidden = false;
  section.scrollIntoView({ block: 'start' });
}

/** Lets go of the quantized model and of its downloads. */
export function hideResult(): void {
  section.hidden = true;
  hideRun();
  downloads.clear();
  report.srcdoc = '';
  shown?.dispose();
  shown = undefined;
}

export function startResultSection(): void {
  floatOnly.addEventListener('change', () => {
    if (shown !== undefined) showNodes(shown.report.nodes);
  });
}
