import { forecast, type Model, type Progress, quantize } from 'bitwright';
import { model, onModel } from './engine.js';
import { clearMessages, say, showError } from './messages.js';
import { element } from './page.js';
import { mode, onRecipe, recipe } from './recipe-section.js';
import { hideResult, showResult } from './result-section.js';
import { evaluation, onSamples, pictureChoice, samples } from './samples-section.js';
import { prepareSamples } from './samples.js';

const start = element('quantize', HTMLButtonElement);
const cancel = element('cancel', HTMLButtonElement);
const memory = element('memory', HTMLParagraphElement);
const progress = element('progress', HTMLDivElement);
const bar = element('bar', HTMLProgressElement);
const progressText = element('progress-text', HTMLSpanElement);

let running: AbortController | undefined;

function refresh(): void {
  const hasSamples = samples().files.length > 0;
  start.disabled = model() === undefined || running !== undefined || (mode() === 'static' && !hasSamples);
  cancel.hidden = running === undefined;
}

/** What the job will take of memory, told before it is begun. */
async function showForecast(): Promise<void> {
  const opened = model();
  memory.textContent = '';
  if (opened === undefined) return;
  const measures = samples().files.length > 0;
  try {
    const { text, isEnough } = await forecast(opened, { recipe: recipe(), measures });
    if (isStale(opened)) return;
    memory.className = isEnough ? 'dim' : 'refusal';
    memory.textContent = isEnough
      ? `It ${text}.`
      : `It ${text}: it may end with out_of_memory. Take “weights only” without samples, or a smaller model.`;
  } catch (error) {
    if (!isStale(opened)) showError(error);
  }
}

const isStale = (opened: Model): boolean => opened !== model();

function refreshAll(): void {
  refresh();
  void showForecast();
}

const stages: Readonly<Record<string, string>> = {
  calibrate: 'Running your samples',
  quantize: 'Quantizing weights',
  write: 'Writing the file',
  compare: 'Comparing with the float model',
};

function showProgress({ stage, done, total, etaMs }: Progress): void {
  bar.max = Math.max(1, total);
  bar.value = done;
  const left = etaMs === undefined || etaMs < 1000 ? '' : `, about ${Math.ceil(etaMs / 1000)} s left`;
  progressText.textContent = `${stages[stage] ?? stage}: ${done} of ${total}${left}`;
}

async function run(): Promise<void> {
  const opened = model();
  if (opened === undefined || running !== undefined) return;
  clearMessages();
  const controller = new AbortController();
  running = controller;
  progress.hidden = false;
  progressText.textContent = 'Starting';
  refresh();
  cancel.focus({ preventScroll: true });
  try {
    const choice = pictureChoice();
    const calibration = samples().files.length > 0 ? await prepareSamples(samples(), opened.info, choice) : undefined;
    const others = evaluation();
    const measured = others === undefined ? calibration : await prepareSamples(others, opened.info, choice);
    const isSame = calibration !== undefined && calibration === measured;
    const needs = await forecast(opened, { recipe: recipe(), measures: measured !== undefined }, { signal: controller.signal });
    const result = await quantize(
      opened,
      {
        recipe: recipe(),
        ...(calibration && { calibration: calibration.samples, sourceNote: `${calibration.samples.length} files of your own` }),
        evaluation: measured?.samples ?? false,
        ...(calibration?.note !== undefined && { preprocessingNote: calibration.note }),
        warnings: [
          ...(calibration?.warnings ?? []),
          ...(isSame ? ['measured on the calibration samples themselves'] : []),
          ...(needs.isEnough ? [] : [`${needs.text}: it may end with out_of_memory`]),
        ],
      },
      { signal: controller.signal, onProgress: showProgress },
    );
    showResult(result, opened, measured?.samples[0]);
    say('Done.');
  } catch (error) {
    if (controller.signal.aborted) say('Cancelled. The model is still open.');
    else showError(error);
  } finally {
    running = undefined;
    progress.hidden = true;
    refresh();
    // The button that had the focus is gone: the keyboard goes on where the work was started.
    if (document.activeElement === document.body || document.activeElement === cancel) start.focus({ preventScroll: true });
  }
}

export function startQuantizeSection(): void {
  start.addEventListener('click', () => void run());
  cancel.addEventListener('click', () => running?.abort(new DOMException('cancelled', 'AbortError')));
  onModel(() => {
    hideResult();
    refreshAll();
  });
  onSamples(refreshAll);
  onRecipe(refreshAll);
  refresh();
}
