import {
  bytesText,
  formulaLines,
  type NamedScheme,
  numberText,
  QuantError,
  rangeMethods,
  type SchemeInput,
  type SchemeReport,
  type SchemeTarget,
  sqnrText,
  tryScheme,
} from 'bitwright';
import { clippingOptions } from '../clipping.js';
import { element, facts, options } from '../page.js';
import { takeScheme } from '../recipe-section.js';
import { type Counts, drawErrorCurve, drawHistogram, drawResiduals } from './chart.js';
import { Latest } from './latest.js';

const blockSizes = [8, 16, 32, 64, 128, 256, 512, 1024];
const channelGroups = [1, 2, 4, 8, 16, 32];
/** Per cent of the magnitudes that are kept. */
const percentiles = [90, 95, 99, 99.5, 99.9, 99.95, 99.99, 99.999];

/** A fitted codebook has as many entries as one likes. */
const hasEntries = ({ encoding }: NamedScheme): boolean => encoding === 'kmeans' || encoding === 'product';
const hasScales = ({ formula }: NamedScheme): boolean => formula.startsWith('scale *');

interface Asked {
  readonly target: SchemeTarget;
  readonly scheme: SchemeInput;
}

function part<T extends Element>(root: Element, name: string, kind: new () => T): T {
  const found = root.querySelector(`[data-part="${name}"]`);
  if (!(found instanceof kind)) throw new Error(`a panel of the lab has no ${name}`);
  return found;
}

/** One scheme: its controls, its pictures, its figures. */
export class Panel {
  report: SchemeReport | undefined;
  private readonly root: HTMLElement;
  private readonly scheme: HTMLSelectElement;
  private readonly bits: HTMLInputElement;
  private readonly entries: HTMLInputElement;
  private readonly granularity: HTMLSelectElement;
  private readonly blockSize: HTMLInputElement;
  private readonly channelGroup: HTMLInputElement;
  private readonly clipping: HTMLSelectElement;
  private readonly percentile: HTMLInputElement;
  private readonly clipRatio: HTMLInputElement;
  private readonly rounding: HTMLSelectElement;
  private readonly scaleForm: HTMLSelectElement;
  private readonly symmetric: HTMLInputElement;
  private readonly narrowRange: HTMLInputElement;
  private readonly scaleIndex: HTMLInputElement;
  private readonly refusal: HTMLElement;
  private readonly latest: Latest<Asked, SchemeReport>;

  constructor(
    readonly letter: string,
    private readonly schemes: readonly NamedScheme[],
    first: string,
    private readonly target: () => SchemeTarget | undefined,
    private readonly shown: () => void,
  ) {
    const copy = element('panel-template', HTMLTemplateElement).content.firstElementChild?.cloneNode(true);
    if (!(copy instanceof HTMLElement)) throw new Error('the page has no template of panels');
    this.root = copy;
    element('panels', HTMLDivElement).append(copy);
    copy.dataset['panel'] = letter;
    copy.ariaLabel = `Scheme ${letter}`;
    part(copy, 'title', HTMLElement).textContent = `Scheme ${letter}`;
    this.scheme = part(copy, 'scheme', HTMLSelectElement);
    this.bits = part(copy, 'bits', HTMLInputElement);
    this.entries = part(copy, 'entries', HTMLInputElement);
    this.granularity = part(copy, 'granularity', HTMLSelectElement);
    this.blockSize = part(copy, 'block-size', HTMLInputElement);
    this.channelGroup = part(copy, 'channel-group', HTMLInputElement);
    this.clipping = part(copy, 'clipping', HTMLSelectElement);
    this.percentile = part(copy, 'percentile', HTMLInputElement);
    this.clipRatio = part(copy, 'clip-ratio', HTMLInputElement);
    this.rounding = part(copy, 'rounding', HTMLSelectElement);
    this.scaleForm = part(copy, 'scale-form', HTMLSelectElement);
    this.symmetric = part(copy, 'symmetric', HTMLInputElement);
    this.narrowRange = part(copy, 'narrow-range', HTMLInputElement);
    this.scaleIndex = part(copy, 'scale-index', HTMLInputElement);
    this.refusal = part(copy, 'refusal', HTMLElement);
    options(
      this.scheme,
      schemes.map((row) => [row.name, `${row.name}: ${row.bits} bit${row.bits === 1 ? '' : 's'}, ${row.formula}`]),
    );
    this.scheme.value = first;
    clippingOptions(this.clipping, rangeMethods);
    this.latest = new Latest(
      ({ target: on, scheme }) => tryScheme(on, scheme),
      (report) => {
        this.show(report);
      },
      (error) => {
        this.refuse(error);
      },
    );
    part(copy, 'use', HTMLButtonElement).addEventListener('click', () => {
      takeScheme(this.scheme.value);
      location.hash = '#/quantize';
    });
    this.scheme.addEventListener('input', () => {
      this.takeDefaults();
      this.ask();
    });
    // Entries are numbered by as many bits as it takes.
    this.bits.addEventListener('input', () => {
      this.entries.value = String(2 ** Number(this.bits.value));
    });
    this.entries.addEventListener('input', () => {
      this.bits.value = String(Math.ceil(Math.log2(Number(this.entries.value))));
    });
    for (const input of [
      this.bits,
      this.entries,
      this.clipping,
      this.percentile,
      this.clipRatio,
      this.rounding,
      this.scaleForm,
      this.symmetric,
      this.narrowRange,
      this.scaleIndex,
    ])
      input.addEventListener('input', () => {
        this.ask();
      });
    // With other groups of values there are other scales.
    for (const input of [this.granularity, this.blockSize, this.channelGroup])
      input.addEventListener('input', () => {
        this.scaleIndex.value = '0';
        this.ask();
      });
    this.takeDefaults();
  }

  /** The scheme that the controls stand for. */
  input(): SchemeInput {
    const named = this.named();
    const isUniform = named.encoding === 'uniform';
    const granularity = this.granularity.value as NonNullable<SchemeInput['granularity']>;
    return {
      scheme: named.name,
      ...(hasEntries(named) ? { entries: Number(this.entries.value) } : !this.bits.disabled && { bits: Number(this.bits.value) }),
      granularity,
      ...(granularity === 'per_block' && { blockSize: this.chosen(this.blockSize, blockSizes) }),
      ...(granularity === 'per_channel' && { channelGroup: this.chosen(this.channelGroup, channelGroups) }),
      ...(isUniform && {
        symmetric: this.symmetric.checked,
        narrowRange: this.narrowRange.checked,
        rounding: this.rounding.value as NonNullable<SchemeInput['rounding']>,
      }),
      ...(hasScales(named) && { scaleForm: this.scaleForm.value as NonNullable<SchemeInput['scaleForm']> }),
      ...(named.isClippable && {
        clipping: this.clipping.value as NonNullable<SchemeInput['clipping']>,
        clipRatio: Number(this.clipRatio.value) / 100,
        ...(this.clipping.value === 'percentile' && { percentile: this.chosen(this.percentile, percentiles) }),
      }),
      scaleIndex: Number(this.scaleIndex.value),
    };
  }

  ask(): void {
    this.label();
    const target = this.target();
    if (target !== undefined) this.latest.ask({ target, scheme: this.input() });
  }

  /** The values are others now, and so are their scales. */
  restart(): void {
    this.scaleIndex.value = '0';
    this.ask();
  }

  set isHidden(hidden: boolean) {
    this.root.hidden = hidden;
  }

  draw(counts: Counts, mostError: number): void {
    const { report } = this;
    if (report === undefined || this.root.hidden) return;
    // Texts first: pictures ask for their size, and the page is laid out once.
    part(this.root, 'errors-text', HTMLElement).textContent =
      `root mean square error along the values, up to ${numberText(mostError)}`;
    const histogram = part(this.root, 'histogram', HTMLCanvasElement);
    histogram.ariaLabel = this.summary();
    drawHistogram(histogram, report, counts);
    drawErrorCurve(part(this.root, 'errors', HTMLCanvasElement), report, mostError);
    drawResiduals(part(this.root, 'residuals', HTMLCanvasElement), report.errorHistogram, counts);
  }

  summary(): string {
    const { report } = this;
    if (report === undefined) return '';
    return `${this.letter}, ${this.scheme.value}: ${sqnrText(report.sqnr) || 'no SQNR'}, ${numberText(report.bitsPerWeight)} bits per weight, largest error ${numberText(report.maxAbsError)}`;
  }

  private named(): NamedScheme {
    const found = this.schemes.find((row) => row.name === this.scheme.value) ?? this.schemes[0];
    if (found === undefined) throw new QuantError('internal', 'there are no schemes');
    return found;
  }

  private chosen(slider: HTMLInputElement, values: readonly number[]): number {
    return values[Number(slider.value)] ?? values[0] ?? 1;
  }

  /** Controls say what the named scheme stands for. */
  private takeDefaults(): void {
    const named = this.named();
    const isUniform = named.encoding === 'uniform';
    this.bits.min = String(named.minBits);
    this.bits.max = String(Math.min(named.maxBits, 8));
    this.bits.value = String(named.bits);
    // 16 bits stand alone: there is nothing between them and 8.
    this.bits.disabled = named.minBits === named.maxBits || named.bits > 8;
    this.entries.value = String(2 ** named.bits);
    this.granularity.value = named.granularity;
    this.blockSize.value = String(Math.max(0, blockSizes.indexOf(named.blockSize)));
    this.channelGroup.value = '0';
    this.clipping.value = 'min_max';
    this.percentile.value = '4';
    this.clipRatio.value = '100';
    this.rounding.value = 'nearest_even';
    this.scaleForm.value = named.scaleForm;
    this.symmetric.checked = named.symmetric;
    this.narrowRange.checked = named.narrowRange;
    this.scaleIndex.value = '0';
    for (const control of [this.clipping, this.clipRatio]) control.disabled = !named.isClippable;
    for (const control of [this.rounding, this.symmetric, this.narrowRange]) control.disabled = !isUniform;
    part(this.root, 'targets', HTMLElement).textContent = `held by: ${named.targets}`;
  }

  /** The figures beside the sliders, and which sliders there are. */
  private label(): void {
    const granularity = this.granularity.value;
    part(this.root, 'block-size-row', HTMLElement).hidden = granularity !== 'per_block';
    part(this.root, 'channel-group-row', HTMLElement).hidden = granularity !== 'per_channel';
    part(this.root, 'entries-row', HTMLElement).hidden = !hasEntries(this.named());
    part(this.root, 'scale-form-row', HTMLElement).hidden = !hasScales(this.named());
    part(this.root, 'percentile-row', HTMLElement).hidden = this.clipping.value !== 'percentile';
    const tell = (name: string, text: string): void => {
      part(this.root, `${name}-text`, HTMLElement).textContent = text;
    };
    tell('bits', this.bits.disabled ? String(this.named().bits) : this.bits.value);
    tell('entries', this.entries.value);
    tell('block-size', String(this.chosen(this.blockSize, blockSizes)));
    tell('channel-group', String(this.chosen(this.channelGroup, channelGroups)));
    tell('percentile', `${this.chosen(this.percentile, percentiles)} %`);
    tell('clip-ratio', `${this.clipRatio.value} %`);
    this.percentile.ariaValueText = `${this.chosen(this.percentile, percentiles)} %`;
    this.blockSize.ariaValueText = String(this.chosen(this.blockSize, blockSizes));
    this.channelGroup.ariaValueText = String(this.chosen(this.channelGroup, channelGroups));
  }

  private show(report: SchemeReport): void {
    this.report = report;
    this.refusal.hidden = true;
    const last = Math.max(0, report.scaleCount - 1);
    this.scaleIndex.max = String(last);
    part(this.root, 'scale-index-row', HTMLElement).hidden = last === 0;
    part(this.root, 'scale-index-text', HTMLElement).textContent = `${report.scaleIndex} of ${report.scaleCount}`;
    const used = report.codeCounts.filter((count) => count > 0).length;
    const rows: [string, string][] = [
      ['SQNR', sqnrText(report.sqnr) || 'none'],
      ['bits per weight', numberText(report.bitsPerWeight)],
      ['largest error', numberText(report.maxAbsError)],
      ['mean squared error', numberText(report.meanSquaredError)],
      ['cosine', report.cosine.toFixed(6)],
      ['stored', bytesText(report.storedBytes)],
      ['codes used', report.codeCounts.length > 0 ? `${used} of ${report.codeCounts.length}` : 'not counted'],
    ];
    if (report.notFinite > 0) rows.push(['not finite', String(report.notFinite)]);
    part(this.root, 'figures', HTMLElement).replaceChildren(facts(rows));
    part(this.root, 'formula', HTMLElement).textContent = formulaLines(report).join('\n');
    this.shown();
    // Tests and benchmarks wait for this.
    this.root.dataset['shown'] = String(Number(this.root.dataset['shown'] ?? '0') + 1);
  }

  private refuse(error: unknown): void {
    if (!(error instanceof Error)) throw error;
    this.refusal.textContent = error instanceof QuantError ? `${error.code}: ${error.message}` : error.message;
    this.refusal.hidden = false;
  }
}
