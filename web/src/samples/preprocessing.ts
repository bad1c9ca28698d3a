import { QuantError } from '../errors.js';
import type { ImagePreprocessing, ImagePreset, ValueInfo } from '../types.js';

type Three = readonly [number, number, number];

/** The usual normalizations: (pixel / 255 * scale - mean) / std. */
export const imagePresets: Readonly<
  Record<ImagePreset, { readonly scale: number; readonly mean: Three; readonly std: Three; readonly note: string }>
> = {
  imagenet: { scale: 1, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], note: 'ImageNet mean and std' },
  minus1_1: { scale: 255, mean: [127.5, 127.5, 127.5], std: [127.5, 127.5, 127.5], note: 'x / 127.5 - 1' },
  '0_1': { scale: 1, mean: [0, 0, 0], std: [1, 1, 1], note: 'x / 255' },
  '0_255': { scale: 255, mean: [0, 0, 0], std: [1, 1, 1], note: 'x as it is, 0 to 255' },
};

export interface PreprocessingChoice {
  readonly preset?: ImagePreset;
  readonly mean?: Three;
  readonly std?: Three;
  readonly resize?: number;
  readonly crop?: number | readonly [number, number];
  readonly color?: 'rgb' | 'bgr' | 'grey';
  readonly resampling?: 'bilinear' | 'bicubic';
}

export interface ChosenPreprocessing {
  readonly input: string;
  readonly preprocessing: ImagePreprocessing;
  /** One line for the report: what was given and what was guessed from the graph. */
  readonly note: string;
  readonly warnings: readonly string[];
}

function fail(finding: string): never {
  throw new QuantError('invalid_argument', finding);
}

/**
 * How pictures become the model's input. Layout and size are read from the graph; mean and std are never guessed silently.
 *
 * @throws QuantError `invalid_argument` where the model has no input that looks like a picture
 */
export function choosePreprocessing(inputs: readonly ValueInfo[], choice: PreprocessingChoice): ChosenPreprocessing {
  const candidates = inputs.filter((input) => input.shape !== null && input.shape.length === 4 && input.dtype === 'f32');
  const input = candidates[0];
  if (input === undefined || input.shape === null) {
    const seen = inputs.map((i) => `${i.name} ${i.dtype}[${(i.shape ?? []).map((d) => (d < 0 ? '?' : d)).join(',')}]`).join(', ');
    fail(`the model has no input for pictures (f32 with 4 axes), only ${seen || 'none'}; give .npy or .npz samples`);
  }
  const shape = input.shape;
  const isNhwc = !(shape[1] === 3 || shape[1] === 1) && (shape[3] === 3 || shape[3] === 1);
  const channels = isNhwc ? shape[3] : shape[1];
  const height = (isNhwc ? shape[1] : shape[2]) ?? -1;
  const width = (isNhwc ? shape[2] : shape[3]) ?? -1;
  const crop = choice.crop;
  const warnings: string[] = [];
  let cropHeight = typeof crop === 'number' ? crop : (crop?.[0] ?? height);
  let cropWidth = typeof crop === 'number' ? crop : (crop?.[1] ?? width);
  if (cropHeight <= 0 || cropWidth <= 0) {
    cropHeight = cropHeight > 0 ? cropHeight : 224;
    cropWidth = cropWidth > 0 ? cropWidth : 224;
    warnings.push(`the model leaves its picture size open: ${cropWidth} x ${cropHeight} was taken; give --crop if that is wrong`);
  }
  const resize = choice.resize ?? (cropWidth === cropHeight ? Math.round(cropWidth / 0.875) : 0);
  const color = choice.color ?? (channels === 1 ? 'grey' : 'rgb');
  const isGiven = choice.preset !== undefined || choice.mean !== undefined || choice.std !== undefined;
  const preset = imagePresets[choice.preset ?? 'imagenet'];
  const mean = choice.mean ?? (choice.std !== undefined && choice.preset === undefined ? ([0, 0, 0] as const) : preset.mean);
  const std = choice.std ?? (choice.mean !== undefined && choice.preset === undefined ? ([1, 1, 1] as const) : preset.std);
  if (!isGiven) {
    warnings.push(
      'no mean and std were given: ImageNet values were taken; a wrong normalization makes every figure below wrong (--preprocess)',
    );
  }
  const preprocessing: ImagePreprocessing = {
    resize,
    cropWidth,
    cropHeight,
    resampling: choice.resampling ?? 'bicubic',
    color,
    layout: isNhwc ? 'nhwc' : 'nchw',
    scale: choice.preset === undefined && isGiven ? 1 : preset.scale,
    mean,
    std,
  };
  const how = choice.preset !== undefined ? preset.note : `mean ${mean.join(', ')}, std ${std.join(', ')}`;
  const sized =
    resize > 0 ? `shorter side ${resize}, centre crop ${cropWidth} x ${cropHeight}` : `stretched to ${cropWidth} x ${cropHeight}`;
  return {
    input: input.name,
    preprocessing,
    note: `${color.toUpperCase()}, ${sized}, ${how}, ${preprocessing.layout.toUpperCase()} (layout and size read from input '${input.name}')`,
    warnings,
  };
}
