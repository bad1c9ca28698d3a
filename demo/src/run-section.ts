import {
  createSession,
  type ExplainRow,
  type Model,
  percentText,
  type ProfileSummary,
  type Sample,
  type Session,
  type SessionInfo,
  type StepShare,
  summarizeProfile,
} from 'bitwright';
import { say, showError } from './messages.js';
import { card, type Column, element, make, table } from './page.js';

const section = element('run-here', HTMLElement);
const start = element('run-start', HTMLButtonElement);
const shown = element('run-shown', HTMLDivElement);
/** Each model runs this often, one after the other, so that whatever slows the machine slows both. */
const rounds = 20;
const mostShown = 200;

let offered: { reference: Model; quantized: Model; sample: Sample } | undefined;
let stop: AbortController | undefined;

type Step = StepShare<ExplainRow>;

async function profiled(
  sessions: readonly Session[],
  sample: Sample,
  signal: AbortSignal,
): Promise<ProfileSummary<ExplainRow>[]> {
  const input = 'feeds' in sample ? sample.feeds : sample;
  for (let round = 0; round < rounds; ++round) for (const session of sessions) await session.run(input, { signal });
  return await Promise.all(sessions.map(async (session) => summarizeProfile(await session.explain())));
}

function stepTable(caption: string, { nodes }: ProfileSummary<ExplainRow>): HTMLElement {
  const bar = (row: Step): HTMLElement => {
    const meter = make('meter');
    meter.max = nodes[0]?.share ?? 1;
    meter.value = row.share;
    meter.ariaLabel = `share of ${row.node}`;
    return meter;
  };
  // A model without integer steps has nothing to say of kernels and reasons.
  const isMixed = nodes.some((row) => row.integer);
  const kernels: Column<Step>[] = [
    { title: 'kernel', cell: (row) => make('span', row.integer ? 'yes' : 'no', row.integer ? row.kernel || 'codes' : 'float') },
    { title: 'stands for, or why it is no integer step', cell: (row) => (row.integer ? row.nodes : row.reason) },
  ];
  const steps = table(
    caption,
    [
      { title: 'step', kind: 'name', cell: (row: Step) => row.node },
      { title: 'ms', kind: 'number', cell: (row) => row.timeMs.toFixed(3) },
      { title: 'share', kind: 'number', cell: (row) => percentText(row.share) },
      { title: '', cell: bar },
      ...(isMixed ? kernels : []),
    ],
    nodes.slice(0, mostShown),
  );
  return make('div', '', make('h4', '', caption), steps);
}

function infoText({ arithmetic, kernels, module, threads, reason }: SessionInfo): string {
  return `Engine: ${module} module, ${kernels} kernels, arithmetic ${arithmetic}, ${threads} thread${threads === 1 ? '' : 's'} (${reason}).`;
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
        card(`${after.nodes.filter((row) => row.integer).length} of ${after.nodes.length}`, 'steps on codes, by integer kernels'),
      ),
      make('p', 'dim', sessions[1] === undefined ? '' : infoText(sessions[1].info)),
      stepTable('The quantized model: slowest steps first', after),
      stepTable('The float model: slowest steps first', before),
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
