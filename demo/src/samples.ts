import {
  type Feeds,
  type ModelInfo,
  type PreprocessingChoice,
  QuantError,
  type Sample,
  choosePreprocessing,
  readNpy,
  readNpz,
} from 'bitwright';

const isPicture = (file: File): boolean => file.type.startsWith('image/') || /\.(jpe?g|png|webp|avif|gif|bmp)$/i.test(file.name);

export interface ChosenSamples {
  readonly files: readonly File[];
  readonly labels: File | undefined;
}

/** What was dropped, sorted into samples and labels. */
export function sortFiles(files: readonly File[]): ChosenSamples {
  const labels = files.find((file) => /\.csv$/i.test(file.name));
  return { files: files.filter((file) => isPicture(file) || /\.(npy|npz)$/i.test(file.name)), labels };
}

export function hasPictures(samples: ChosenSamples): boolean {
  return samples.files.some(isPicture);
}

async function readLabels(file: File | undefined): Promise<Map<string, number>> {
  const labels = new Map<string, number>();
  if (file === undefined) return labels;
  for (const line of (await file.text()).split(/\r?\n/)) {
    const [name, index] = line.split(',');
    if (name !== undefined && index !== undefined && /^\s*-?\d+\s*$/.test(index)) labels.set(name.trim(), Number(index));
  }
  if (labels.size === 0) throw new QuantError('bad_data', `${file.name}: no 'file,class_index' lines found`, file.name);
  return labels;
}

export interface PreparedSamples {
  readonly samples: readonly Sample[];
  readonly note: string | undefined;
  readonly warnings: readonly string[];
}

/** Files as samples of this model: pictures are decoded by the engine's worker, one at a time. */
export async function prepareSamples(
  chosen: ChosenSamples,
  info: ModelInfo,
  choice: PreprocessingChoice,
): Promise<PreparedSamples> {
  const labels = await readLabels(chosen.labels);
  const pictures = hasPictures(chosen) ? choosePreprocessing(info.inputs, choice) : undefined;
  const samples: Sample[] = [];
  for (const file of chosen.files) {
    const label = labels.get(file.name);
    const extra = { name: file.name, ...(label !== undefined && { label }) };
    if (pictures !== undefined && isPicture(file)) {
      samples.push({ image: file, input: pictures.input, preprocessing: pictures.preprocessing, ...extra });
      continue;
    }
    const bytes = new Uint8Array(await file.arrayBuffer());
    const first = info.inputs[0];
    if (first === undefined) throw new QuantError('bad_data', 'the model has no inputs');
    const feeds: Feeds = /\.npz$/i.test(file.name) ? readNpz(bytes, file.name) : { [first.name]: readNpy(bytes, file.name) };
    samples.push({ feeds, ...extra });
  }
  return { samples, note: pictures?.note, warnings: pictures?.warnings ?? [] };
}
