import {
  type CalibrationMethod,
  type Model,
  type Progress,
  type QuantizeResult,
  type QuantMode,
  QuantError,
  type RecipeInput,
  type Target,
  type Toolkit,
  bytesText,
  type ImagePreset,
  loadModel,
  openToolkit,
  percentText,
  quantize,
  reportHtml,
  sqnrText,
} from 'bitwright';
import { type ChosenSamples, hasPictures, prepareSamples, sortFiles } from './samples.js';

function element<T extends HTMLElement>(id: string, kind: new () => T): T {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${id}`);
  return found;
}

const ui = {
  modelDrop: element('model-drop', HTMLLabelElement),
  modelFile: element('model-file', HTMLInputElement),
  modelFacts: element('model-facts', HTMLDivElement),
  example: element('example', HTMLButtonElement),
  samplesDrop: element('samples-drop', HTMLLabelElement),
  samplesFile: element('samples-file', HTMLInputElement),
  samplesFacts: element('samples-facts', HTMLParagraphElement),
  pictureOptions: element('picture-options', HTMLDivElement),
  preset: element('preset', HTMLSelectElement),
  color: element('color', HTMLSelectElement),
  resize: element('resize', HTMLInputElement),
  target: element('target', HTMLSelectElement),
  method: element('method', HTMLSelectElement),
  exclude: element('exclude', HTMLInputElement),
  quantize: element('quantize', HTMLButtonElement),
  cancel: element('cancel', HTMLButtonElement),
  progress: element('progress', HTMLDivElement),
  bar: element('bar', HTMLProgressElement),
  progressText: element('progress-text', HTMLSpanElement),
  status: element('status', HTMLParagraphElement),
  error: element('error', HTMLParagraphElement),
  result: element('result', HTMLElement),
  cards: element('cards', HTMLDivElement),
  downloads: element('downloads', HTMLParagraphElement),
  report: element('report', HTMLIFrameElement),
  engine: element('engine', HTMLParagraphElement),
};

const state: {
  toolkit: Promise<Toolkit> | undefined;
  model: Model | undefined;
  /** Samples to calibrate on, and to measure on where they are others. */
  samples: ChosenSamples;
  evaluation: ChosenSamples | undefined;
  running: AbortController | undefined;
  urls: string[];
} = {
  toolkit: undefined,
  model: undefined,
  samples: { files: [], labels: undefined },
  evaluation: undefined,
  running: undefined,
  urls: [],
};

function toolkit(): Promise<Toolkit> {
  state.toolkit ??= openToolkit().then((opened) => {
    ui.engine.textContent = `Engine ${opened.info.version}: ${opened.info.variant}, ${opened.info.threads} thread${opened.info.threads === 1 ? '' : 's'} (${opened.info.reason})`;
    return opened;
  });
  return state.toolkit;
}

function mode(): QuantMode {
  const chosen = document.querySelector<HTMLInputElement>('input[name=mode]:checked');
  return (chosen?.value ?? 'static') as QuantMode;
}

function showError(error: unknown): void {
  ui.error.hidden = false;
  ui.error.textContent =
    error instanceof QuantError ? `${error.code}: ${error.message}` : error instanceof Error ? error.message : String(error);
}

function clearMessages(): void {
  ui.error.hidden = true;
  ui.status.textContent = '';
}

function refresh(): void {
  const needsSamples = mode() === 'static';
  const hasSamples = state.samples.files.length > 0;
  ui.quantize.disabled = state.model === undefined || state.running !== undefined || (needsSamples && !hasSamples);
  ui.cancel.hidden = state.running === undefined;
  ui.pictureOptions.hidden = !hasPictures(state.samples);
  const n = state.samples.files.length;
  ui.samplesFacts.textContent = hasSamples
    ? `${n} sample${n === 1 ? '' : 's'}${state.samples.labels === undefined ? '' : ` with ${state.samples.labels.name}`}${state.evaluation === undefined ? '' : `; measured on ${state.evaluation.files.length} others`}`
    : 'Needed to calibrate activations; not for “weights only” and “half precision”.';
}

function fact(list: HTMLElement, name: string, text: string): void {
  const term = document.createElement('dt');
  term.textContent = name;
  const detail = document.createElement('dd');
  detail.textContent = text;
  list.append(term, detail);
}

function showModel(model: Model): void {
  const { info } = model;
  const list = document.createElement('dl');
  const shape = (extents: readonly number[] | null): string =>
    `[${(extents ?? []).map((extent) => (extent < 0 ? '?' : extent)).join(', ')}]`;
  fact(list, 'File', `${info.fileName}, ${bytesText(info.bytes + info.externalBytes)}, opset ${info.opset}`);
  fact(list, 'Parameters', info.parameters.toLocaleString('en'));
  fact(list, 'Inputs', info.inputs.map((input) => `${input.name} ${input.dtype}${shape(input.shape)}`).join(', '));
  fact(list, 'Outputs', info.outputs.map((output) => `${output.name} ${output.dtype}${shape(output.shape)}`).join(', '));
  fact(
    list,
    'Operators',
    info.operators
      .slice(0, 12)
      .map((row) => `${row.opType} ${row.count}`)
      .join(', '),
  );
  if (info.isQuantized) fact(list, 'Note', 'this model is quantized already');
  if (info.notRunnable !== '') fact(list, 'Note', `only its weights can be quantized here: ${info.notRunnable}`);
  ui.modelFacts.replaceChildren(list);
  ui.modelFacts.hidden = false;
}

async function openModel(files: readonly File[]): Promise<void> {
  clearMessages();
  const file = files.find((candidate) => /\.onnx$/i.test(candidate.name)) ?? files[0];
  if (file === undefined) return;
  try {
    const external = Object.fromEntries(
      files.filter((candidate) => candidate !== file).map((candidate) => [candidate.name, candidate]),
    );
    const model = await loadModel(await toolkit(), file, { name: file.name, external });
    state.model?.dispose();
    state.model = model;
    ui.result.hidden = true;
    showModel(model);
  } catch (error) {
    showError(error);
  }
  refresh();
}

/** The bundled example: model, calibration images, and labelled images to measure on. */
async function openExample(): Promise<void> {
  ui.example.disabled = true;
  try {
    const fetched = async (path: string): Promise<File> => {
      const response = await fetch(`example/${path}`);
      if (!response.ok) throw new QuantError('io_failed', `example/${path}: ${response.status}`);
      return new File([await response.blob()], path.split('/').pop() ?? path);
    };
    const listed = async (folder: string): Promise<ChosenSamples> => {
      const labels = await fetched(`${folder}/labels.csv`);
      const names = (await labels.text())
        .split('\n')
        .slice(1)
        .map((line) => line.split(',')[0]?.trim() ?? '')
        .filter((name) => name !== '');
      return { files: await Promise.all(names.map((name) => fetched(`${folder}/${name}`))), labels };
    };
    await openModel([await fetched('model.onnx')]);
    state.samples = await listed('images');
    state.evaluation = await listed('eval');
    ui.preset.value = 'minus1_1';
    ui.resize.value = '64';
  } catch (error) {
    showError(error);
  }
  ui.example.disabled = false;
  refresh();
}

const stages: Readonly<Record<string, string>> = {
  calibrate: 'Running your samples',
  quantize: 'Quantizing weights',
  write: 'Writing the file',
  compare: 'Comparing with the float model',
};

function showProgress({ stage, done, total, etaMs }: Progress): void {
  ui.bar.max = Math.max(1, total);
  ui.bar.value = done;
  const left = etaMs === undefined || etaMs < 1000 ? '' : `, about ${Math.ceil(etaMs / 1000)} s left`;
  ui.progressText.textContent = `${stages[stage] ?? stage}: ${done} of ${total}${left}`;
}

function download(name: string, bytes: Uint8Array | string, type: string, isPrimary: boolean): HTMLAnchorElement {
  const url = URL.createObjectURL(new Blob([bytes as BlobPart], { type }));
  state.urls.push(url);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.className = isPrimary ? 'button primary' : 'button';
  link.textContent = `Download ${name}`;
  return link;
}

function card(value: string, label: string): HTMLDivElement {
  const box = document.createElement('div');
  box.className = 'card';
  const number = document.createElement('b');
  number.textContent = value;
  const text = document.createElement('span');
  text.textContent = label;
  box.append(number, text);
  return box;
}

function showResult(result: QuantizeResult, model: Model): void {
  const { report } = result;
  const { before, after, comparison, nodes } = report;
  const list = [
    card(
      `${bytesText(before.bytes)} → ${bytesText(after.bytes)}`,
      `${(before.bytes / Math.max(1, after.bytes)).toFixed(2)} times smaller`,
    ),
    card(`${nodes.filter((row) => row.isQuantized).length} of ${nodes.length}`, 'nodes quantized'),
  ];
  const output = comparison?.outputs[0];
  if (output !== undefined) list.push(card(sqnrText(output.sqnr), `signal to quantization noise of ${output.value}`));
  if (output?.top1Agreement != null)
    list.push(
      card(
        percentText(output.top1Agreement.share),
        `same top-1 class: ${output.top1Agreement.count} of ${output.top1Agreement.total} samples`,
      ),
    );
  if (comparison?.accuracy != null) {
    const { reference, quantized } = comparison.accuracy;
    list.push(
      card(
        `${percentText(reference.share)} → ${percentText(quantized.share)}`,
        `accuracy on ${reference.total} labelled samples`,
      ),
    );
  }
  ui.cards.replaceChildren(...list);
  for (const url of state.urls) URL.revokeObjectURL(url);
  state.urls = [];
  const stem = model.info.fileName.replace(/\.onnx$/i, '');
  const name = `${stem}_${report.recipe.mode === 'float16' ? 'fp16' : 'quantized'}.onnx`;
  const html = reportHtml(report);
  ui.downloads.replaceChildren(
    download(name, result.bytes, 'application/octet-stream', true),
    ...(result.external === null
      ? []
      : [download(result.external.name, result.external.bytes, 'application/octet-stream', true)]),
    download('report.html', html, 'text/html', false),
    download('report.json', JSON.stringify(report, null, 2), 'application/json', false),
    download('recipe.json', JSON.stringify(report.recipe, null, 2), 'application/json', false),
  );
  ui.report.srcdoc = html;
  ui.result.hidden = false;
  ui.status.textContent = 'Done.';
  ui.result.scrollIntoView({ block: 'start' });
}

async function run(): Promise<void> {
  const { model } = state;
  if (model === undefined || state.running !== undefined) return;
  clearMessages();
  const controller = new AbortController();
  state.running = controller;
  ui.progress.hidden = false;
  ui.progressText.textContent = 'Starting';
  refresh();
  ui.cancel.focus({ preventScroll: true });
  try {
    const patterns = ui.exclude.value
      .split(',')
      .map((pattern) => pattern.trim())
      .filter((pattern) => pattern !== '');
    const recipe: RecipeInput = {
      mode: mode(),
      target: ui.target.value as Target,
      calibration: { method: ui.method.value as CalibrationMethod },
      exclude: patterns,
    };
    const choice = {
      preset: ui.preset.value as ImagePreset,
      ...(ui.color.value !== '' && { color: ui.color.value as 'rgb' | 'bgr' | 'grey' }),
      ...(ui.resize.value !== '' && { resize: Number(ui.resize.value) }),
    };
    const calibration = state.samples.files.length > 0 ? await prepareSamples(state.samples, model.info, choice) : undefined;
    const evaluation = state.evaluation === undefined ? calibration : await prepareSamples(state.evaluation, model.info, choice);
    const result = await quantize(
      model,
      {
        recipe,
        ...(calibration && { calibration: calibration.samples, sourceNote: `${calibration.samples.length} files of your own` }),
        evaluation: evaluation?.samples ?? false,
        ...(calibration?.note !== undefined && { preprocessingNote: calibration.note }),
        warnings: [
          ...(calibration?.warnings ?? []),
          ...(calibration !== undefined && calibration === evaluation ? ['measured on the calibration samples themselves'] : []),
        ],
      },
      { signal: controller.signal, onProgress: showProgress },
    );
    showResult(result, model);
    result.dispose();
  } catch (error) {
    if (controller.signal.aborted) ui.status.textContent = 'Cancelled. The model is still open.';
    else showError(error);
  } finally {
    state.running = undefined;
    ui.progress.hidden = true;
    refresh();
    // The button that had the focus is gone: the keyboard goes on where the work was started.
    if (document.activeElement === document.body || document.activeElement === ui.cancel)
      ui.quantize.focus({ preventScroll: true });
  }
}

function acceptDrops(target: HTMLElement, take: (files: File[]) => void): void {
  target.addEventListener('dragover', (event) => {
    event.preventDefault();
    target.classList.add('over');
  });
  target.addEventListener('dragleave', () => {
    target.classList.remove('over');
  });
  target.addEventListener('drop', (event) => {
    event.preventDefault();
    target.classList.remove('over');
    take([...(event.dataTransfer?.files ?? [])]);
  });
}

function takeSamples(files: readonly File[]): void {
  clearMessages();
  state.samples = sortFiles(files);
  state.evaluation = undefined;
  if (state.samples.files.length === 0 && files.length > 0)
    showError(new QuantError('bad_data', 'none of these files is a picture, .npy or .npz'));
  refresh();
}

acceptDrops(ui.modelDrop, (files) => void openModel(files));
acceptDrops(ui.samplesDrop, takeSamples);
ui.modelFile.addEventListener('change', () => void openModel([...(ui.modelFile.files ?? [])]));
ui.samplesFile.addEventListener('change', () => {
  takeSamples([...(ui.samplesFile.files ?? [])]);
});
ui.example.addEventListener('click', () => void openExample());
ui.quantize.addEventListener('click', () => void run());
ui.cancel.addEventListener('click', () => state.running?.abort(new DOMException('cancelled', 'AbortError')));
for (const radio of document.querySelectorAll('input[name=mode]')) radio.addEventListener('change', refresh);
refresh();
