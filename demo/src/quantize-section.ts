import { forecast, type Model, quantize, type QuantizeResult, type RunOptions, type Sample } from 'bitwright';
import { model, onModel } from './engine.js';
import { say, showError } from './messages.js';
import { element } from './page.js';
import { Work } from './progress.js';
import { needsSamples, onRecipe, recipe } from './recipe-section.js';
import { hideResult, showResult } from './result-section.js';
import { evaluation, onSamples, pictureChoice, samples } from './samples-section.js';
import { prepareSamples } from './samples.js';

const start = element('quantize', HTMLButtonElement);
const memory = element('memory', HTMLParagraphElement);
const work = new Work(element('quantize-progress', HTMLDivElement), refresh);

/** The result, and a sample to run it on. */
interface Measured {
  readonly result: QuantizeResult;
  readonly sample: Sample | undefined;
}

function refresh(): void {
  const hasSamples = samples().files.length > 0;
  start.disabled = model() === undefined || work.isRunning || (needsSamples() && !hasSamples);
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

async function compute(opened: Model, { signal, onProgress }: Required<RunOptions>): Promise<Measured> {
  const choice = pictureChoice();
  const calibration = samples().files.length > 0 ? await prepareSamples(samples(), opened.info, choice) : undefined;
  const others = evaluation();
  const measured = others === undefined ? calibration : await prepareSamples(others, opened.info, choice);
  const isSame = calibration !== undefined && calibration === measured;
  const needs = await forecast(opened, { recipe: recipe(), measures: measured !== undefined }, { signal });
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
    { signal, onProgress },
  );
  return { result, sample: measured?.samples[0] };
}

async function run(): Promise<void> {
  const opened = model();
  if (opened === undefined) return;
  await work.run(
    start,
    (options) => compute(opened, options),
    ({ result, sample }) => {
      showResult(result, opened, sample);
      say('Done.');
    },
    ({ result }) => result.dispose(),
  );
}

export function startQuantizeSection(): void {
  start.addEventListener('click', () => void run());
  onModel(() => {
    work.drop();
    hideResult();
    refreshAll();
  });
  onSamples(refreshAll);
  onRecipe(refreshAll);
  refresh();
}
