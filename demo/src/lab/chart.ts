import type { Histogram, SchemeReport } from 'bitwright';
import { numberText } from 'bitwright';

export type Counts = 'linear' | 'log';

const axisHeight = 18;

interface Ink {
  readonly text: string;
  readonly bar: string;
  readonly grid: string;
  readonly clip: string;
  readonly line: string;
}

function ink(): Ink {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string): string => style.getPropertyValue(`--${name}`).trim();
  return { text: colour('dim'), bar: colour('bar'), grid: colour('accent'), clip: colour('clip'), line: colour('line') };
}

/** A canvas that is as sharp as the screen; `draw` gets it cleared, with CSS pixels as units. */
function begin(canvas: HTMLCanvasElement): { context: CanvasRenderingContext2D; width: number; height: number } | undefined {
  const context = canvas.getContext('2d');
  const { clientWidth: width, clientHeight: height } = canvas;
  if (context === null || width === 0) return undefined;
  const ratio = devicePixelRatio;
  if (canvas.width !== Math.round(width * ratio)) canvas.width = Math.round(width * ratio);
  if (canvas.height !== Math.round(height * ratio)) canvas.height = Math.round(height * ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  context.font = '11px system-ui, sans-serif';
  return { context, width, height };
}

function drawAxis(
  context: CanvasRenderingContext2D,
  colours: Ink,
  width: number,
  height: number,
  min: number,
  max: number,
): void {
  const bottom = height - axisHeight;
  context.strokeStyle = colours.line;
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(0, bottom + 0.5);
  context.lineTo(width, bottom + 0.5);
  const zero = ((0 - min) / (max - min)) * width;
  const hasZero = max > min && zero > 40 && zero < width - 40;
  if (hasZero) {
    context.moveTo(zero, bottom);
    context.lineTo(zero, bottom + 4);
  }
  context.stroke();
  context.fillStyle = colours.text;
  context.textBaseline = 'bottom';
  context.textAlign = 'left';
  context.fillText(numberText(min), 0, height);
  context.textAlign = 'right';
  context.fillText(numberText(max), width, height);
  context.textAlign = 'center';
  if (hasZero) context.fillText('0', zero, height);
}

/** Heights of 0 to 1; with `log`, a single value is still seen beside a million. */
function heights(counts: readonly number[], scale: Counts): number[] {
  const most = Math.max(1, ...counts);
  return counts.map((count) => (scale === 'linear' ? count / most : Math.log1p(count) / Math.log1p(most)));
}

function drawBars(
  context: CanvasRenderingContext2D,
  bars: readonly number[],
  width: number,
  height: number,
  colour: string,
): void {
  const bottom = height - axisHeight;
  const step = width / bars.length;
  context.fillStyle = colour;
  bars.forEach((bar, i) => {
    if (bar > 0)
      context.fillRect(
        i * step,
        bottom - Math.max(1, bar * (bottom - 6)),
        Math.max(step - 0.5, 0.5),
        Math.max(1, bar * (bottom - 6)),
      );
  });
}

/** Values as bars, codes as lines (bright where they are used), shaded where the range clips. */
export function drawHistogram(canvas: HTMLCanvasElement, report: SchemeReport, counts: Counts): void {
  const begun = begin(canvas);
  if (begun === undefined || report.histogram === null) return;
  const { context, width, height } = begun;
  const colours = ink();
  const { min, max } = report.histogram;
  const span = max - min || 1;
  const x = (real: number): number => ((real - min) / span) * width;
  const bottom = height - axisHeight;
  drawBars(context, heights(report.histogram.counts, counts), width, height, colours.bar);
  const { grid, codeCounts } = report;
  if (grid.length > 0) {
    const low = x(Math.min(...grid));
    const high = x(Math.max(...grid));
    context.fillStyle = colours.clip;
    if (low > 1) context.fillRect(0, 0, low, bottom);
    if (high < width - 1) context.fillRect(high, 0, width - high, bottom);
    context.strokeStyle = colours.grid;
    context.lineWidth = 1;
    for (const isUsed of [false, true]) {
      context.globalAlpha = (isUsed ? 0.75 : 0.25) * Math.min(1, Math.max(0.4, (width / grid.length) * 0.25));
      context.beginPath();
      grid.forEach((real, code) => {
        if ((codeCounts[code] ?? 0) > 0 !== isUsed) return;
        const at = x(real);
        if (at < -0.5 || at > width + 0.5) return;
        context.moveTo(at, 0);
        context.lineTo(at, bottom);
      });
      context.stroke();
    }
    context.globalAlpha = 1;
  }
  drawAxis(context, colours, width, height, min, max);
}

/** The root mean square error of the values below it in the histogram; `most` is the top, so that two charts compare. */
export function drawErrorCurve(canvas: HTMLCanvasElement, report: SchemeReport, most: number): void {
  const begun = begin(canvas);
  if (begun === undefined || report.histogram === null) return;
  const { context, width, height } = begun;
  const colours = ink();
  const top = most > 0 ? most : 1;
  drawBars(
    context,
    report.rmsErrors.map((error) => Math.min(1, error / top)),
    width,
    height,
    colours.grid,
  );
  drawAxis(context, colours, width, height, report.histogram.min, report.histogram.max);
}

export function drawResiduals(canvas: HTMLCanvasElement, errors: Histogram | null, counts: Counts): void {
  const begun = begin(canvas);
  if (begun === undefined || errors === null) return;
  const { context, width, height } = begun;
  const colours = ink();
  drawBars(context, heights(errors.counts, counts), width, height, colours.grid);
  drawAxis(context, colours, width, height, errors.min, errors.max);
}

/** Heights of a drawn density, the chosen bin marked. */
export function drawDensity(canvas: HTMLCanvasElement, density: readonly number[], chosen: number): void {
  const begun = begin(canvas);
  if (begun === undefined) return;
  const { context, width, height } = begun;
  const colours = ink();
  drawBars(context, density, width, height, colours.bar);
  const step = width / density.length;
  context.fillStyle = colours.grid;
  context.fillRect(chosen * step, height - axisHeight, Math.max(2, step - 0.5), 3);
  drawAxis(context, colours, width, height, -1, 1);
}
