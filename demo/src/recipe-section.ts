import {
  type CalibrationMethod,
  parseRecipe,
  parseRecipeJson,
  type QuantMode,
  type Recipe,
  type RecipeInput,
  recipeJson,
  type Target,
} from 'bitwright';
import { cliCommand } from './cli-command.js';
import { model, onModel } from './engine.js';
import { clearMessages, say, showError } from './messages.js';
import { Downloads, element } from './page.js';
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

/** What an opened recipe says beyond the form. */
let base: RecipeInput = {};
const listeners: (() => void)[] = [];

export function onRecipe(listener: () => void): void {
  listeners.push(listener);
}

export function mode(): QuantMode {
  return (modes.find((radio) => radio.checked)?.value ?? 'static') as QuantMode;
}

/** What the form says, over what was opened. Throws as parseRecipe does. */
export function recipe(): Recipe {
  return parseRecipe({
    ...base,
    mode: mode(),
    target: target.value as Target,
    calibration: { ...base.calibration, method: method.value as CalibrationMethod },
    exclude: exclude.value
      .split(',')
      .map((pattern) => pattern.trim())
      .filter((pattern) => pattern !== ''),
  });
}

function showRecipe(opened: Recipe): void {
  base = opened;
  for (const radio of modes) radio.checked = radio.value === opened.mode;
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

function changed(): void {
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
  for (const input of [...modes, target, method, exclude]) input.addEventListener('change', changed);
  file.addEventListener('change', () => void openRecipe());
  save.addEventListener('click', () => {
    downloads.clear();
    downloads.link('recipe.json', recipeJson(recipe()), 'application/json').click();
  });
  copy.addEventListener('click', () => void copyCommand());
  onModel(showCommand);
  onSamples(showCommand);
  showCommand();
}
