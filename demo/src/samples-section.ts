import { type ImagePreset, type PreprocessingChoice, QuantError } from 'bitwright';
import { clearMessages, showError } from './messages.js';
import { acceptDrops, element } from './page.js';
import { type ChosenSamples, hasPictures, sortFiles } from './samples.js';

const drop = element('samples-drop', HTMLLabelElement);
const file = element('samples-file', HTMLInputElement);
const shown = element('samples-facts', HTMLParagraphElement);
const pictureOptions = element('picture-options', HTMLDivElement);
const preset = element('preset', HTMLSelectElement);
const color = element('color', HTMLSelectElement);
const resize = element('resize', HTMLInputElement);

/** Samples to calibrate on, and to measure on where they are others. */
let chosen: ChosenSamples = { files: [], labels: undefined };
let others: ChosenSamples | undefined;
const listeners: (() => void)[] = [];

export const samples = (): ChosenSamples => chosen;
export const evaluation = (): ChosenSamples | undefined => others;
export function onSamples(listener: () => void): void {
  listeners.push(listener);
}

/** How pictures become the model's input, as the form says. */
export function pictureChoice(): PreprocessingChoice & { readonly preset: ImagePreset } {
  return {
    preset: preset.value as ImagePreset,
    ...(color.value !== '' && { color: color.value as 'rgb' | 'bgr' | 'grey' }),
    ...(resize.value !== '' && { resize: Number(resize.value) }),
  };
}

export function setSamples(
  toCalibrate: ChosenSamples,
  toEvaluate: ChosenSamples | undefined,
  choice?: { readonly preset: ImagePreset; readonly resize: number },
): void {
  chosen = toCalibrate;
  others = toEvaluate;
  if (choice !== undefined) {
    preset.value = choice.preset;
    resize.value = String(choice.resize);
  }
  const n = chosen.files.length;
  pictureOptions.hidden = !hasPictures(chosen);
  const labels = chosen.labels === undefined ? '' : ` with ${chosen.labels.name}`;
  const measured = others === undefined ? '' : `; measured on ${others.files.length} others`;
  shown.textContent =
    n > 0
      ? `${n} sample${n === 1 ? '' : 's'}${labels}${measured}`
      : 'Needed to calibrate activations; not for weights only and half precision.';
  for (const listener of listeners) listener();
}

function takeFiles(files: readonly File[]): void {
  clearMessages();
  setSamples(sortFiles(files), undefined);
  if (chosen.files.length === 0 && files.length > 0)
    showError(new QuantError('bad_data', 'none of these files is a picture, .npy or .npz; choose some that are'));
}

export function startSamplesSection(): void {
  acceptDrops(drop, takeFiles);
  file.addEventListener('change', () => {
    takeFiles([...(file.files ?? [])]);
  });
  for (const input of [preset, color, resize])
    input.addEventListener('input', () => {
      for (const listener of listeners) listener();
    });
}
