/** The arithmetic of a scheme with its numbers filled in: the terminal and the page show it. */
import { numberText } from './format.js';
import type { SchemeReport } from './schema.js';

/** In parentheses where it is negative, so that it can stand behind a minus. */
function term(value: number): string {
  return value < 0 ? `(${numberText(value)})` : numberText(value);
}

/** How the scale came about; the numbers are those of the shown scale. */
function scaleLine(report: SchemeReport): string {
  const { encoding, scaleForm, scale, clipMin, clipMax, qmin, qmax } = report;
  if (encoding === 'binary') return `scale = mean |x| = ${numberText(scale)}`;
  if (encoding === 'ternary') return `scale = mean |x| of the x that are not rounded to 0 = ${numberText(scale)}`;
  const reach = Math.max(-clipMin, clipMax);
  const largest = Math.max(0, ...report.grid.map(Math.abs)) / scale;
  if (scaleForm === 'e8m0') {
    const top = encoding === 'uniform' ? Math.max(-qmin, qmax) : largest;
    return `scale = 2^(floor(log2 max |x|) - floor(log2 largest level)) = 2^(${numberText(Math.floor(Math.log2(reach)))} - ${numberText(Math.floor(Math.log2(top)))}) = ${numberText(scale)}`;
  }
  let formula: string;
  let ideal: number;
  if (encoding !== 'uniform') {
    formula = `max(-rmin, rmax) / largest level = ${numberText(reach)} / ${numberText(largest)}`;
    ideal = reach / largest;
  } else if (report.symmetric) {
    formula = `2 * max(-rmin, rmax) / (qmax - qmin) = 2 * ${numberText(reach)} / (${qmax} - ${term(qmin)})`;
    ideal = (2 * reach) / (qmax - qmin);
  } else {
    formula = `(rmax - rmin) / (qmax - qmin) = (${numberText(clipMax)} - ${term(clipMin)}) / (${qmax} - ${term(qmin)})`;
    ideal = (clipMax - clipMin) / (qmax - qmin);
  }
  return scaleForm === 'f32'
    ? `scale = ${formula} = ${numberText(scale)}`
    : `scale = ${formula} = ${numberText(ideal)}, stored as ${scaleForm}: ${numberText(scale)}`;
}

/** One line for each step: the range, the scale, the zero point, what a code stands for, the size. */
export function formulaLines(report: SchemeReport): string[] {
  const { encoding, rmin, rmax, clipMin, clipMax, qmin, qmax, scale, zeroPoint, bits, formula } = report;
  const lines: string[] = [];
  const n = report.shape.reduce((product, extent) => product * extent, 1);
  if (formula.startsWith('scale *')) {
    lines.push(`values lie in [${numberText(rmin)}, ${numberText(rmax)}]`);
    if (encoding !== 'binary' && encoding !== 'ternary')
      lines.push(`rmin = ${numberText(clipMin)}, rmax = ${numberText(clipMax)} (with 0 in it, clipped)`);
    lines.push(scaleLine(report));
    if (encoding === 'uniform') {
      lines.push(
        report.symmetric
          ? `zero_point = ${zeroPoint} (symmetric)`
          : `zero_point = round(qmin - rmin / scale) = round(${qmin} - ${term(clipMin)} / ${numberText(scale)}) = ${zeroPoint}`,
        `real = ${numberText(scale)} * (code - ${term(zeroPoint)}), code in [${qmin}, ${qmax}]`,
      );
    } else {
      lines.push(`real = ${formula.replace('scale', numberText(scale))}, ${2 ** bits} codes`);
    }
  } else {
    lines.push(`real = ${formula}${bits <= 8 ? `, ${2 ** bits} codes` : ''}`);
  }
  if (n > 0)
    lines.push(
      `bits per weight = 8 * ${report.storedBytes} stored bytes / ${n} values = ${numberText(report.bitsPerWeight)}${report.scaleCount > 0 ? `, ${report.scaleCount} scale${report.scaleCount === 1 ? '' : 's'} included` : ''}`,
    );
  return lines;
}
