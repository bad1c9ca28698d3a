/** The arithmetic of a scheme with its numbers filled in: the terminal and the page show it. */
import { numberText } from './format.js';
import type { SchemeReport } from './schema.js';

/** Codes and levels that are whole numbers have all their digits. */
const exact = (value: number): string => (Number.isInteger(value) && Math.abs(value) < 1e5 ? String(value) : numberText(value));

/** In parentheses where it is negative, so that it can stand behind a minus. */
const term = (value: number): string => (value < 0 ? `(${exact(value)})` : exact(value));

const counted = (n: number, one: string, many = `${one}s`): string => `${n} ${n === 1 ? one : many}`;

/** floor(log2 value) of a value above 0. */
function exponentOf(value: number): number {
  const near = Math.round(Math.log2(value));
  return 2 ** near > value ? near - 1 : near;
}

/** What neighbours share: a scale, a codebook, the alphas of planes; halves share nothing. */
export function sharedBy({ encoding, formula }: Pick<SchemeReport, 'encoding' | 'formula'>): string {
  if (encoding === 'kmeans' || encoding === 'product') return 'codebook';
  if (encoding === 'binary_code') return 'set of alphas';
  return formula.startsWith('scale *') ? 'scale' : '';
}

/** A code of f8e4m3fn as its number. */
function f8e4m3fn(code: number): number {
  const exponent = (code >> 3) & 15;
  return exponent === 0 ? (code & 7) * 2 ** -9 : (8 + (code & 7)) * 2 ** (exponent - 10);
}

/** "super_scale * code = 0.001 * 60", where scales are stored in two levels. */
function twoLevels({ scaleForm, scale, scaleCode }: SchemeReport): string {
  const code = scaleForm === 'u6' ? scaleCode : f8e4m3fn(scaleCode);
  return `super_scale * code = ${numberText(scale / code)} * ${exact(code)}`;
}

/** The largest real of a code at scale 1, away from the zero point. */
function largestLevel({ encoding, symmetric, grid, scale, zeroPoint, qmin, qmax }: SchemeReport): number {
  if (encoding === 'uniform') return qmax - (symmetric ? zeroPoint : qmin);
  return grid.reduce((most, real) => (Number.isFinite(real) ? Math.max(most, Math.abs(real)) : most), 0) / scale;
}

/** How the scale came about; the numbers are those of the shown scale. */
function scaleLines(report: SchemeReport): string[] {
  const { encoding, symmetric, scaleForm, scaleCode, scale, clipMin, clipMax, qmin, qmax } = report;
  const isTwoLevel = scaleForm === 'f8e4m3fn' || scaleForm === 'u6';
  const lines: string[] = [];
  if (isTwoLevel) {
    const code = scaleForm === 'u6' ? scaleCode : f8e4m3fn(scaleCode);
    const shared = scaleForm === 'u6' ? 'largest scale of 8 blocks / 63, as f16' : 'largest scale of the tensor / 448';
    lines.push(`super_scale = ${shared} = ${numberText(scale / code)}`);
  }
  if (!(clipMax > clipMin)) {
    lines.push(`no range: scale ${isTwoLevel ? `= ${twoLevels(report)} = ` : ''}${numberText(scale)}`);
    return lines;
  }
  const isFitted = encoding === 'binary' || encoding === 'ternary';
  const mean = encoding === 'binary' ? 'mean |x|' : 'mean |x| of the x that are not rounded to 0';
  const isOneSided = encoding === 'uniform' && !symmetric;
  const [reachText, reach] = isOneSided
    ? ['(rmax - rmin)', clipMax - clipMin]
    : ['max(-rmin, rmax)', Math.max(-clipMin, clipMax)];
  const largest = largestLevel(report);
  if (scaleForm === 'e8m0' && isFitted) {
    lines.push(`scale = 2^floor(log2 ${mean}) = 2^(${scaleCode - 127}) = ${numberText(scale)}`);
  } else if (scaleForm === 'e8m0') {
    const [a, b] = [exponentOf(reach), exponentOf(largest)];
    const kept = a - b === scaleCode - 127 ? '' : `, within what is stored 2^(${scaleCode - 127})`;
    lines.push(
      `scale = 2^(floor(log2 ${reachText}) - floor(log2 largest level)) = 2^(floor(log2 ${numberText(reach)}) - floor(log2 ${exact(largest)})) = 2^(${a} - ${b})${kept} = ${numberText(scale)}`,
    );
  } else if (isFitted) {
    const stored = isTwoLevel ? `, stored as ${twoLevels(report)}` : scaleForm === 'f16' ? ', stored as f16' : '';
    lines.push(`scale = ${mean}${stored} = ${numberText(scale)}`);
  } else {
    let formula = `${reachText} / largest level = ${numberText(reach)} / ${exact(largest)}`;
    let ideal = reach / largest;
    if (isOneSided) {
      formula = `(rmax - rmin) / (qmax - qmin) = (${numberText(clipMax)} - ${term(clipMin)}) / (${qmax} - ${term(qmin)})`;
      ideal = reach / (qmax - qmin);
    } else if (encoding === 'uniform') {
      formula = `2 * max(-rmin, rmax) / (qmax - qmin) = 2 * ${numberText(reach)} / (${qmax} - ${term(qmin)})`;
      ideal = (2 * reach) / (qmax - qmin);
    }
    let stored = '';
    if (isTwoLevel) stored = `, stored as ${twoLevels(report)} = ${numberText(scale)}`;
    else if (scaleForm === 'f16') stored = `, stored as f16: ${numberText(scale)}`;
    else if (Math.abs(ideal - scale) > 1e-5 * scale) stored = `, kept where products are finite: ${numberText(scale)}`;
    lines.push(`scale = ${formula} = ${numberText(ideal)}${stored}`);
  }
  return lines;
}

function rangeLine({ clipMin, clipMax, clipping, percentile, clipRatio }: SchemeReport): string {
  const method = clipping === 'percentile' ? `percentile ${percentile}` : clipping;
  const ratio = clipRatio === 1 ? '' : `, times ${numberText(clipRatio)}`;
  return `rmin = ${numberText(clipMin)}, rmax = ${numberText(clipMax)} (clipping ${method}, with 0 in it${ratio})`;
}

function zeroPointLine({ symmetric, zeroPoint, clipMin, clipMax, scale, qmin, qmax }: SchemeReport): string {
  if (symmetric) return `zero_point = ${zeroPoint} (symmetric)`;
  if (!(clipMax > clipMin)) return `zero_point = ${zeroPoint}`;
  const isKept = Math.abs(qmin - clipMin / scale - zeroPoint) > 0.51;
  return `zero_point = round(qmin - rmin / scale) = round(${qmin} - ${term(clipMin)} / ${numberText(scale)})${isKept ? `, kept in [${qmin}, ${qmax}]` : ''} = ${zeroPoint}`;
}

/** From x to its code. */
function codeLine(report: SchemeReport): string {
  const { encoding, rounding, seed, scale, zeroPoint, qmin, qmax, clipMin, clipMax, clipping, threshold, subVector } = report;
  const steps = `x / ${numberText(scale)}`;
  switch (encoding) {
    case 'uniform': {
      const rounded = {
        nearest_even: `round_half_even(${steps})`,
        stochastic: `floor(${steps} + u, u in [0, 1) drawn by seed ${seed})`,
        floor: `floor(${steps})`,
        mask: `floor(${steps}) + (0 or 1, as the mask says)`,
      }[rounding];
      return `code = ${rounded} + ${term(zeroPoint)}, kept in [${qmin}, ${qmax}]`;
    }
    case 'binary':
      return 'code = that of the sign of x, + for 0';
    case 'ternary': {
      const how = clipping === 'mse' ? 'that of least squared error' : '0.7 * mean |x|';
      return threshold > 0 && clipMax > clipMin
        ? `threshold = ${how} = ${numberText(threshold)}; code = that of the sign of x where |x| > ${numberText(threshold)}, else of 0`
        : `threshold = ${how}; code = that of the sign of x where |x| is more, else of 0`;
    }
    case 'kmeans':
    case 'binary_code':
      return 'code = that of the real nearest to x, the lower one of two';
    case 'product':
      return `code = that of the entry of least squared distance to ${subVector} neighbours, the first of several`;
    default:
      return encoding.startsWith('f') && encoding !== 'fp4'
        ? `code = that of the float nearest to ${steps}, half to even`
        : `code = that of the level nearest to ${steps}, the lower one of two`;
  }
}

/** All of a few, the ends of many. */
function listText(values: readonly number[]): string {
  const most = 16;
  const texts = values.map(numberText);
  return texts.length <= most ? texts.join(', ') : [...texts.slice(0, 4), '...', ...texts.slice(-2)].join(', ');
}

function halfLine({ encoding, rmin, rmax }: SchemeReport): string {
  const isF16 = encoding === 'f16';
  const digits = isF16 ? 10 : 7;
  const how = `real = x rounded half to even to ${digits + 1} significant bits`;
  const largest = Math.max(-rmin, rmax);
  if (!(largest > 0)) return how;
  const exponent = Math.min(Math.max(exponentOf(largest), isF16 ? -14 : -126), isF16 ? 15 : 127);
  return `${how}: at the largest |x| = ${numberText(largest)} steps are 2^(${exponent} - ${digits}) = ${numberText(2 ** (exponent - digits))}`;
}

/** What a code stands for. */
function realLine(report: SchemeReport): string {
  const { encoding, formula, grid, scale, zeroPoint, qmin, qmax, bits, codebook, subVector, seed } = report;
  switch (encoding) {
    case 'uniform':
      return `real = ${numberText(scale)} * (code - ${term(zeroPoint)}), code in [${qmin}, ${qmax}]`;
    case 'f16':
    case 'bf16':
      return halfLine(report);
    case 'kmeans':
      return `real = entry[code], ${counted(grid.length, 'entry', 'entries')} by k-means from seed ${seed}: ${listText(grid)}`;
    case 'binary_code': {
      // Plane p of code 2^p alone is +.
      const lowest = grid[0] ?? 0;
      const alphas = Array.from({ length: bits }, (_, p) => ((grid[2 ** p] ?? lowest) - lowest) / 2);
      return `real = ${alphas.map((alpha) => `+-${numberText(alpha)}`).join(' ')}, alphas by alternating least squares, ${grid.length} codes`;
    }
    case 'product': {
      const first = codebook.slice(0, subVector);
      const count = counted(codebook.length / subVector, 'entry', 'entries');
      return `real = entry[code][place], ${count} of ${subVector} by k-means from seed ${seed}: (${first.map(numberText).join(', ')}) is the first`;
    }
    default:
      return `real = ${formula.replace('scale', numberText(scale))}, ${grid.length} codes`;
  }
}

/** What is stored beside codes. */
function included({
  encoding,
  symmetric,
  scaleForm,
  scaleCount,
  grid,
  bits,
  codebook,
  subVector,
  formula,
}: SchemeReport): string {
  if (scaleCount === 0) return '';
  switch (sharedBy({ encoding, formula })) {
    case 'scale': {
      const superScales = scaleForm === 'u6' || scaleForm === 'f8e4m3fn' ? ', super scales' : '';
      const zeroPoints = encoding === 'uniform' && !symmetric ? ', zero points' : '';
      return `, ${counted(scaleCount, 'scale')}${superScales}${zeroPoints} included`;
    }
    case 'codebook': {
      const entries = encoding === 'product' ? codebook.length / subVector : grid.length;
      return `, ${counted(scaleCount, 'codebook')} of ${counted(entries, 'entry', 'entries')} included`;
    }
    case '':
      return '';
    default:
      return `, ${counted(scaleCount * bits, 'alpha')} included`;
  }
}

/** One line for each step: the range, the scale, the zero point, the code of a value, what a code stands for, the size. */
export function formulaLines(report: SchemeReport): string[] {
  const n = report.shape.reduce((product, extent) => product * extent, 1);
  if (n === 0) return ['no values'];
  const { encoding, rmin, rmax, notFinite } = report;
  const isFitted = encoding === 'binary' || encoding === 'ternary';
  const lines: string[] = [];
  if (report.histogram === null) lines.push('no value is finite');
  else if (encoding !== 'product')
    lines.push(`${notFinite > 0 ? 'finite ' : ''}values lie in [${numberText(rmin)}, ${numberText(rmax)}]`);
  if (sharedBy(report) === 'scale') {
    if (!isFitted) lines.push(rangeLine(report));
    lines.push(...scaleLines(report));
    if (encoding === 'uniform') lines.push(zeroPointLine(report));
  }
  if (sharedBy(report) !== '') lines.push(codeLine(report));
  lines.push(realLine(report));
  lines.push(
    `bits per weight = 8 * ${report.storedBytes} stored bytes / ${n} values = ${numberText(report.bitsPerWeight)}${included(report)}`,
  );
  return lines;
}
