import { bytesText, type Distribution, distributionKinds, type Model, type SchemeTarget, type Toolkit } from 'bitwright';
import { model, onModel } from '../engine.js';
import { element, options } from '../page.js';
import { Sketch } from './sketch.js';

const fromModel = element('from-model', HTMLInputElement);
const fromDrawn = element('from-drawn', HTMLInputElement);
const modelPart = element('tensor-part', HTMLDivElement);
const drawnPart = element('drawn-part', HTMLDivElement);
const search = element('tensor-search', HTMLInputElement);
const list = element('tensor-list', HTMLSelectElement);
const note = element('tensor-note', HTMLParagraphElement);
const kind = element('kind', HTMLSelectElement);
const size = element('draw-size', HTMLSelectElement);
const seed = element('draw-seed', HTMLInputElement);
const sketchPart = element('sketch-part', HTMLDivElement);

const kindTexts: Readonly<Record<Distribution['kind'], string>> = {
  normal: 'normal',
  laplace: 'Laplace',
  uniform: 'uniform',
  bimodal: 'bimodal',
  heavy_tail: 'heavy tail (Student, 4)',
  relu: 'ReLU of a normal',
  drawn: 'drawn by hand',
};
const floats: readonly string[] = ['f32', 'f16', 'bf16', 'f64'];
const mostListed = 300;

/** What schemes are tried on: a tensor of the model, or a distribution. */
export class Source {
  private readonly sketch: Sketch;

  constructor(changed: () => void) {
    options(
      kind,
      distributionKinds.map((name) => [name, kindTexts[name]] as const),
    );
    this.sketch = new Sketch(element('sketch', HTMLCanvasElement), changed);
    for (const input of [fromModel, fromDrawn, kind, size, seed, list])
      input.addEventListener('input', () => {
        this.refresh();
        changed();
      });
    search.addEventListener('input', () => {
      this.fill();
      changed();
    });
    onModel((opened) => {
      this.offer(opened);
      changed();
    });
    const opened = model();
    if (opened === undefined) this.refresh();
    else this.offer(opened);
  }

  /** Undefined where the model has no such tensor. */
  target(toolkit: Toolkit): SchemeTarget | undefined {
    const opened = model();
    if (fromModel.checked) return opened !== undefined && list.value !== '' ? { model: opened, tensor: list.value } : undefined;
    const chosen = kind.value as Distribution['kind'];
    const extent = Number(size.value);
    return {
      toolkit,
      distribution: {
        kind: chosen,
        shape: [extent, extent],
        seed: Math.max(0, Math.trunc(Number(seed.value)) || 0),
        ...(chosen === 'drawn' && { density: this.sketch.density }),
      },
    };
  }

  text(): string {
    return fromModel.checked ? list.value : (kindTexts[kind.value as Distribution['kind']] ?? kind.value);
  }

  draw(): void {
    this.sketch.draw();
  }

  private offer(opened: Model): void {
    search.value = '';
    this.fill();
    fromModel.disabled = !opened.info.tensors.some((tensor) => floats.includes(tensor.dtype));
    fromModel.checked = !fromModel.disabled;
    fromDrawn.checked = fromModel.disabled;
    this.refresh();
  }

  /** The model's tensors of floats whose names hold what is searched, the largest first. */
  private fill(): void {
    const before = list.value;
    const wanted = search.value.trim().toLowerCase();
    const found = (model()?.info.tensors ?? [])
      .filter((tensor) => floats.includes(tensor.dtype) && tensor.bytes > 0 && tensor.name.toLowerCase().includes(wanted))
      .sort((a, b) => b.bytes - a.bytes);
    options(
      list,
      found.slice(0, mostListed).map(({ name, shape, bytes }) => [name, `${name}  [${shape.join(', ')}]  ${bytesText(bytes)}`]),
    );
    if (found.some(({ name }) => name === before)) list.value = before;
    else list.selectedIndex = found.length > 0 ? 0 : -1;
    note.textContent =
      found.length > mostListed
        ? `${found.length} tensors; the ${mostListed} largest are listed: search for others`
        : `${found.length} tensor${found.length === 1 ? '' : 's'} of floats`;
  }

  private refresh(): void {
    modelPart.hidden = !fromModel.checked;
    drawnPart.hidden = fromModel.checked;
    sketchPart.hidden = kind.value !== 'drawn';
    this.draw();
  }
}
