import { bytesText, loadModel, type Model, QuantError } from 'bitwright';
import { onModel, setModel, toolkit } from './engine.js';
import { clearMessages, say, showError } from './messages.js';
import { acceptDrops, element, facts } from './page.js';
import { setSamples } from './samples-section.js';
import type { ChosenSamples } from './samples.js';

const drop = element('model-drop', HTMLLabelElement);
const file = element('model-file', HTMLInputElement);
const example = element('example', HTMLButtonElement);
const shown = element('model-facts', HTMLDivElement);

function showModel({ info }: Model): void {
  const shape = (extents: readonly number[] | null): string =>
    `[${(extents ?? []).map((extent) => (extent < 0 ? '?' : extent)).join(', ')}]`;
  const operators = info.operators.slice(0, 12).map((row) => `${row.opType} ${row.count}`);
  const rows: [string, string][] = [
    ['File', `${info.fileName}, ${bytesText(info.bytes + info.externalBytes)}, opset ${info.opset}`],
    ['Parameters', info.parameters.toLocaleString('en')],
    ['Inputs', info.inputs.map((input) => `${input.name} ${input.dtype}${shape(input.shape)}`).join(', ')],
    ['Outputs', info.outputs.map((output) => `${output.name} ${output.dtype}${shape(output.shape)}`).join(', ')],
    ['Operators', operators.join(', ')],
  ];
  if (info.notRunnable !== '') rows.push(['Note', `only its weights can be quantized here: ${info.notRunnable}`]);
  shown.replaceChildren(facts(rows));
  shown.hidden = false;
}

async function openModel(files: readonly File[]): Promise<void> {
  clearMessages();
  const chosen = files.find((candidate) => /\.(onnx|ort)$/i.test(candidate.name)) ?? files[0];
  if (chosen === undefined) return;
  try {
    const others = files.filter((candidate) => candidate !== chosen);
    const external = Object.fromEntries(others.map((candidate) => [candidate.name, candidate]));
    setModel(await loadModel(await toolkit(), chosen, { name: chosen.name, external }));
    say(`${chosen.name} is open.`);
  } catch (error) {
    showError(error);
  }
}

async function fetched(path: string): Promise<File> {
  const response = await fetch(`example/${path}`);
  if (!response.ok) throw new QuantError('io_failed', `example/${path}: ${response.status}; is the page served whole?`);
  return new File([await response.blob()], path.split('/').pop() ?? path);
}

async function listed(folder: string): Promise<ChosenSamples> {
  const labels = await fetched(`${folder}/labels.csv`);
  const names = (await labels.text())
    .split('\n')
    .slice(1)
    .map((line) => line.split(',')[0]?.trim() ?? '')
    .filter((name) => name !== '');
  return { files: await Promise.all(names.map((name) => fetched(`${folder}/${name}`))), labels };
}

/** The bundled example: model, calibration images, and labelled images to measure on. */
async function openExample(): Promise<void> {
  example.disabled = true;
  try {
    await openModel([await fetched('model.onnx')]);
    setSamples(await listed('images'), await listed('eval'), { preset: 'minus1_1', resize: 64 });
  } catch (error) {
    showError(error);
  }
  example.disabled = false;
}

export function startModelSection(): void {
  onModel(showModel);
  acceptDrops(drop, (files) => void openModel(files));
  file.addEventListener('change', () => void openModel([...(file.files ?? [])]));
  example.addEventListener('click', () => void openExample());
}
