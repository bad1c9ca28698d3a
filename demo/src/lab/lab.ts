import { listSchemes, QuantError, type Toolkit } from 'bitwright';
import { toolkit } from '../engine.js';
import { showError } from '../messages.js';
import { element } from '../page.js';
import { onView, view } from '../views.js';
import type { Counts } from './chart.js';
import { Panel } from './panel.js';
import { Source } from './source.js';

const isLog = element('log-counts', HTMLInputElement);
const hasPair = element('compare-two', HTMLInputElement);
const summary = element('lab-summary', HTMLParagraphElement);
/** Whoever listens hears where a slider came to rest, not every step of it. */
const restMs = 700;

async function open(engine: Toolkit): Promise<void> {
  const schemes = await listSchemes(engine);
  let timer: ReturnType<typeof setTimeout> | undefined;
  const visible = (): Panel[] => panels.slice(0, hasPair.checked ? 2 : 1);
  const draw = (): void => {
    const counts: Counts = isLog.checked ? 'log' : 'linear';
    // One top for both error curves: the lower one is the better one.
    const most = Math.max(0, ...visible().flatMap(({ report }) => report?.rmsErrors ?? []));
    for (const panel of visible()) panel.draw(counts, most);
    clearTimeout(timer);
    timer = setTimeout(() => {
      summary.textContent = `${source.text()}. ${visible()
        .map((panel) => panel.summary())
        .join('. ')}.`;
    }, restMs);
  };
  const source = new Source(() => {
    for (const panel of visible()) panel.restart();
  });
  const target = (): ReturnType<Source['target']> => source.target(engine);
  const panels = [new Panel('A', schemes, 'i8', target, draw), new Panel('B', schemes, 'nf4', target, draw)];
  const redraw = (): void => {
    source.draw();
    draw();
  };
  hasPair.addEventListener('input', () => {
    const [, second] = panels;
    if (second !== undefined) second.isHidden = !hasPair.checked;
    if (hasPair.checked) second?.restart();
    redraw();
  });
  isLog.addEventListener('input', draw);
  addEventListener('resize', redraw);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);
  onView((now) => {
    if (now === 'lab') redraw();
  });
  for (const panel of panels) panel.ask();
}

/** The lab is made when it is first looked at. */
export function startLab(): void {
  let isOpen = false;
  const openOnce = (): void => {
    if (isOpen || view() !== 'lab') return;
    isOpen = true;
    toolkit()
      .then(open)
      .catch((error: unknown) => {
        showError(error instanceof Error ? error : new QuantError('internal', String(error)));
      });
  };
  onView(openOnce);
  openOnce();
}
