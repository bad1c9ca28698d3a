import {
  createSession,
  type ExplainRow,
  type Model,
  percentText,
  type ProfileSummary,
  type RunOptions,
  type Sample,
  type Session,
  type SessionInfo,
  type StepShare,
  summarizeProfile,
} from 'bitwright';
import { say } from './messages.js';
import { card, type Column, element, make, table } from './page.js';
import { Work } from './progress.js';

const section = element('run-here', HTMLElement);
const start = element('run-start', HTMLButtonElement);
const shown = element('run-shown', HTMLDivElement);
/** Each model runs this often, one after the other, so that whatever slows the machine slows both. */
const rounds = 20;
const mostShown = 200;

let offered: { reference: Model; quantized: Model; sample: Sample } | undefined;
const work = new Work(element('run-progress', HTMLDivElement), () => (start.disabled = work.isRunning));

type Step = StepShare<ExplainRow>;

interface Profiled {
  readonly before: ProfileSummary<ExplainRow>;
  readonly after: ProfileSummary<ExplainRow>;
  readonly info: SessionInfo;
}

async function profiled(
  { reference, quantized, sample }: NonNullable<typeof offered>,
  { signal, onProgress }: Required<RunOptions>,
): Promise<Profiled> {
  const sessions: Session[] = [];
  const open = async (model: Model): Promise<Session> => {
    const session = await createSession(model, { profile: true }, { signal });
    sessions.push(session);
    return session;
  };
  try {
    const [float, coded] = [await open(reference), await open(quantized)];
    const input = 'feeds' in sample ? sample.feeds : sample;
    const startedMs = performance.now();
    for (let done = 0; done < rounds; ++done) {
      const etaMs = ((performance.now() - startedMs) / done) * (rounds - done);
      onProgress({ stage: 'run', done, total: rounds, ...(done > 0 && { etaMs }) });
      await float.run(input, { signal });
      await coded.run(input, { signal });
    }
    const summary = async (session: Session) => summarizeProfile(await session.explain());
    return { before: await summary(float), after: await summary(coded), info: coded.info };
  } finally {
    for (const session of sessions) session.dispose();
  }
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

function showProfiled({ before, after, info }: Profiled): void {
  shown.replaceChildren(
    make(
      'div',
      'cards',
      card(`${before.timeMs.toFixed(2)} ms`, `one run of the float model: mean of ${rounds}`),
      card(`${after.timeMs.toFixed(2)} ms`, 'one run of the quantized model'),
      card(`${after.nodes.filter((row) => row.integer).length} of ${after.nodes.length}`, 'steps on codes, by integer kernels'),
    ),
    make('p', 'dim', infoText(info)),
    stepTable('The quantized model: slowest steps first', after),
    stepTable('The float model: slowest steps first', before),
  );
  say('Both models were run.');
}

async function run(): Promise<void> {
  if (offered === undefined) return;
  const models = offered;
  shown.replaceChildren();
  await work.run(
    start,
    (options) => profiled(models, options),
    showProfiled,
    () => undefined,
  );
}

export function offerRun(reference: Model, quantized: Model, sample: Sample | undefined): void {
  if (sample === undefined || reference.info.notRunnable !== '') return;
  offered = { reference, quantized, sample };
  section.hidden = false;
}

export function hideRun(): void {
  work.drop();
  offered = undefined;
  section.hidden = true;
  shown.replaceChildren();
}

export function startRunSection(): void {
  start.addEventListener('click', () => void run());
}
