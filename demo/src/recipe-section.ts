import {
  type CalibrationMethod,
  calibrationMethods,
  parseRecipe,
  parseRecipeJson,
  type QuantFormat,
  type QuantMode,
  type Recipe,
  type RecipeInput,
  recipeJson,
  recipePresets,
  type SchemeName,
  schemeNames,
  type SchemeOverrides,
  type Target,
  useOfSamples,
  type WeightClipping,
  weightClippings,
} from 'bitwright';
import { cliCommand } from './cli-command.js';
import { clippingOptions } from './clipping.js';
import { model, onModel } from './engine.js';
import { clearMessages, say, showError } from './messages.js';
import { Downloads, element, options } from './page.js';
import { evaluation, onSamples, pictureChoice, samples } from './samples-section.js';
import { hasPictures } from './samples.js';

const target = element('target', HTMLSelectElement);
const method = element('method', HTMLSelectElement);
const exclude = element('exclude', HTMLInputElement);
const file = element('recipe-file', HTMLInputElement);
const save = element('recipe-save', HTMLButtonElement);
const command = element('command', HTMLElement);
const copy = element('copy', HTMLButtonElement);
const modes = [...document.querySelectorAll<HTMLInputElement>('input[name=mode]')];

const format = element('format', HTMLSelectElement);
const scheme = element('scheme', HTMLSelectElement);
const schemeRow = element('scheme-row', HTMLLabelElement);
const clipping = element('clipping', HTMLSelectElement);
const clippingRow = element('clipping-row', HTMLLabelElement);
const methodRow = element('method-row', HTMLLabelElement);

/** What each of the form's ways stands for. */
const ways: Readonly<Record<string, RecipeInput>> = {
  static: { mode: 'static' },
  dynamic: { mode: 'dynamic' },
  weight_only: { mode: 'weight_only' },
  q4: recipePresets.q4,
  q4f16: recipePresets.q4f16,
  float16: { mode: 'float16' },
};

/** What an opened recipe says beyond the form; the way alone decides until one is opened. */
let base: RecipeInput = {};
const listeners: (() => void)[] = [];

export function onRecipe(listener: () => void): void {
  listeners.push(listener);
}

function way(): string {
  return modes.find((radio) => radio.checked)?.value ?? 'static';
}

function mode(): QuantMode {
  return ways[way()]?.mode ?? 'static';
}

/** True where there is nothing to do without samples. */
export function needsSamples(): boolean {
  try {
    return useOfSamples(recipe()) === 'needed';
  } catch {
    return false; // said where the recipe is shown
  }
}

/** Min and max is what schemes have without being asked. */
function overrides(): SchemeOverrides {
  const { clipping: opened, ...others } = base.weight?.overrides ?? {};
  const chosen = clipping.value as WeightClipping;
  return chosen === 'min_max' && opened === undefined ? others : { ...others, clipping: chosen };
}

/** What the form says, over what was opened. Throws as parseRecipe does. */
export function recipe(): Recipe {
  const chosen = ways[way()] ?? {};
  const isWeightOnly = chosen.mode === 'weight_only';
  return parseRecipe({
    ...base,
    ...(chosen.mode !== undefined && { mode: chosen.mode }),
    float16: { ...base.float16, rest: chosen.float16?.rest ?? false },
    weight: {
      ...base.weight,
      scheme: isWeightOnly ? (scheme.value as '' | SchemeName) : '',
      overrides: isWeightOnly && scheme.value !== '' ? overrides() : {},
    },
    format: format.value as QuantFormat,
    target: target.value as Target,
    calibration: { ...base.calibration, method: method.value as CalibrationMethod },
    exclude: exclude.value
      .split(',')
      .map((pattern) => pattern.trim())
      .filter((pattern) => pattern !== ''),
  });
}

/** The way that comes nearest to a recipe. */
function wayOf({ mode, weight, format: form, float16 }: Recipe): string {
  if (mode !== 'weight_only') return mode;
  if (float16.rest) return 'q4f16';
  return weight.scheme === ways['q4']?.weight?.scheme && form === 'qoperator' ? 'q4' : 'weight_only';
}

function showRecipe(opened: Recipe): void {
  base = opened;
  const found = wayOf(opened);
  for (const radio of modes) radio.checked = radio.value === found;
  scheme.value = opened.weight.scheme;
  clipping.value = opened.weight.overrides.clipping ?? 'min_max';
  format.value = opened.format;
  target.value = opened.target;
  method.value = opened.calibration.method;
  exclude.value = opened.exclude.join(', ');
  changed();
}

function showCommand(): void {
  try {
    command.textContent = commandText();
  } catch (error) {
    command.textContent = '';
    showError(error);
  }
}

function commandText(): string {
  const opened = model();
  const chosen = samples();
  return cliCommand({
    fileName: opened?.info.fileName ?? 'model.onnx',
    recipe: recipe(),
    hasSamples: chosen.files.length > 0,
    labels: (evaluation() ?? chosen).labels?.name,
    hasEvaluation: evaluation() !== undefined,
    pictures: hasPictures(chosen) ? pictureChoice() : undefined,
  });
}

/** Another way: its own scheme and form, and nothing of what was opened before. */
function choose(): void {
  const chosen = ways[way()] ?? {};
  base = {};
  scheme.value = chosen.weight?.scheme ?? '';
  clipping.value = 'min_max';
  format.value = chosen.format ?? 'qdq';
  changed();
}

/** Sets the weights' scheme, as the lab found it. */
export function takeScheme(name: string): void {
  for (const radio of modes) radio.checked = radio.value === 'weight_only';
  choose();
  scheme.value = name;
  changed();
}

function changed(): void {
  schemeRow.hidden = mode() !== 'weight_only';
  clippingRow.hidden = schemeRow.hidden || scheme.value === '';
  methodRow.hidden = mode() !== 'static';
  showCommand();
  for (const listener of listeners) listener();
}

async function openRecipe(): Promise<void> {
  const [chosen] = file.files ?? [];
  if (chosen === undefined) return;
  clearMessages();
  try {
    showRecipe(parseRecipeJson(await chosen.text()));
    say(`The recipe of ${chosen.name} is set.`);
  } catch (error) {
    showError(error);
  }
  file.value = '';
}

async function copyCommand(): Promise<void> {
  try {
    await navigator.clipboard.writeText(command.textContent ?? '');
    say('The command is in the clipboard.');
  } catch {
    // Without leave to write there: the text is selected, so that one key copies it.
    getSelection()?.selectAllChildren(command);
    say('The command is selected: copy it with the keyboard.');
  }
}

export function startRecipeSection(): void {
  const downloads = new Downloads();
  options(scheme, [['', 'i8: a scale for each channel'] as const, ...schemeNames.map((name) => [name, name] as const)]);
  clippingOptions(clipping, weightClippings);
  clippingOptions(method, calibrationMethods);
  for (const input of modes) input.addEventListener('change', choose);
  // While it is typed, not when the field is left: a line more, between press and release, would move the button from under the pointer.
  for (const input of [scheme, clipping, format, target, method, exclude]) input.addEventListener('input', changed);
  file.addEventListener('change', () => void openRecipe());
  save.addEventListener('click', () => {
    downloads.clear();
    downloads.link('recipe.json', recipeJson(recipe()), 'application/json').click();
  });
  copy.addEventListener('click', () => void copyCommand());
  onModel(showCommand);
  onSamples(showCommand);
  choose();
}
