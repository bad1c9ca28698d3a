import {
  createSession,
  type Model,
  type NodeShare,
  percentText,
  type ProfileSummary,
  type Sample,
  type Session,
  summarizeProfile,
} from 'bitwright';
import { say, showError } from './messages.js';
import { card, element, make, table } from './page.js';

const section = element('run-here', HTMLElement);
const start = element('run-start', HTMLButtonElement);
const shown = element('run-shown', HTMLDivElement);
/** Each model runs this often, one after the other, so that whatever slows the machine slows both. */
const rounds = 20;

let offered: { reference: Model; quantized: Model; sample: Sample } | undefined;
let stop: AbortController | undefined;

async function profiled(sessions: readonly Session[], sample: Sample, signal: AbortSignal): Promise<ProfileSummary[]> {
  const input = 'feeds' in sample ? sample.feeds : sample;
  for (let round = 0; round < rounds; ++round) for (const session of sessions) await session.run(input, { signal });
  return await Promise.all(sessions.map(async (session) => summarizeProfile(await session.profile())));
}

function nodeTable(caption: string, { nodes }: ProfileSummary): HTMLElement {
  const rows = nodes.slice(0, 12);
  const bar = (row: NodeShare): HTMLElement => {
    const meter = make('meter');
    meter.max = rows[0]?.share ?? 1;
    meter.value = row.share;
    meter.ariaLabel = `share of ${row.node}`;
    return meter;
  };
  return make(
    'div',
    '',
    make('h4', '', caption),
    table(
      caption,
      [
        { title: 'node', kind: 'name', cell: (row: NodeShare) => row.node },
        { title: 'operator', cell: (row) => row.opType },
        { title: 'ms', kind: 'number', cell: (row) => row.timeMs.toFixed(3) },
        { title: 'share', kind: 'number', cell: (row) => percentText(row.share) },
        { title: '', cell: bar },
      ],
      rows,
    ),
  );
}

async function run(): Promise<void> {
  if (offered === undefined || stop !== undefined) return;
  const { reference, quantized, sample } = offered;
  stop = new AbortController();
  const { signal } = stop;
  start.disabled = true;
  shown.replaceChildren(make('p', 'dim', `Running both models ${rounds} times`));
  const sessions: Session[] = [];
  try {
    for (const model of [reference, quantized]) sessions.push(await createSession(model, { profile: true }, { signal }));
    const [before, after] = await profiled(sessions, sample, signal);
    if (before === undefined || after === undefined) return;
    shown.replaceChildren(
      make(
        'div',
        'cards',
        card(`${before.timeMs.toFixed(2)} ms`, `one run of the float model: mean of ${rounds}`),
        card(`${after.timeMs.toFixed(2)} ms`, 'one run of the quantized model'),
      ),
      make('div', 'pair', nodeTable('Quantized: slowest nodes', after), nodeTable('Float: slowest nodes', before)),
    );
    say('Both models were run.');
  } catch (error) {
    shown.replaceChildren();
    if (!signal.aborted) showError(error);
  } finally {
    for (const session of sessions) session.dispose();
    stop = undefined;
    start.disabled = false;
  }
}

export function offerRun(reference: Model, quantized: Model, sample: Sample | undefined): void {
  if (sample === undefined || reference.info.notRunnable !== '') return;
  offered = { reference, quantized, sample };
  section.hidden = false;
}

export function hideRun(): void {
  stop?.abort(new DOMException('another model was opened', 'AbortError'));
  offered = undefined;
  section.hidden = true;
  shown.replaceChildren();
}

export function startRunSection(): void {
  start.addEventListener('click', () => void run());
}
