import { defaultRecipe, type ImagePreset, type PreprocessingChoice, type Recipe } from 'bitwright';

/** A word as a POSIX shell takes it. */
function quoted(word: string): string {
  return /^[\w./:@=,+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The keys of a recipe that have a flag; the others need the recipe's file. */
function withoutFlags(recipe: Recipe): string {
  const { mode, target, exclude, format, weight } = defaultRecipe;
  const calibration = { ...recipe.calibration, method: defaultRecipe.calibration.method };
  return JSON.stringify({
    ...recipe,
    mode,
    target,
    format,
    exclude,
    calibration,
    weight: { ...recipe.weight, scheme: weight.scheme, overrides: {} },
  });
}

export interface CommandParts {
  readonly fileName: string;
  readonly recipe: Recipe;
  readonly hasSamples: boolean;
  readonly labels: string | undefined;
  readonly hasEvaluation: boolean;
  readonly pictures: (PreprocessingChoice & { readonly preset: ImagePreset }) | undefined;
}

/** The command that does the same; folders that the page cannot know are called samples/ and evaluation/. */
export function cliCommand({ fileName, recipe, hasSamples, labels, hasEvaluation, pictures }: CommandParts): string {
  const words = ['npx', 'bitwright', 'quantize', fileName];
  if (withoutFlags(recipe) === JSON.stringify(defaultRecipe)) {
    if (recipe.mode !== defaultRecipe.mode) words.push('--mode', recipe.mode);
    if (recipe.weight.scheme !== '') words.push('--scheme', recipe.weight.scheme);
    for (const [key, value] of Object.entries(recipe.weight.overrides))
      words.push(...(key === 'clipping' ? ['--clipping', String(value)] : ['--set', `${key}=${String(value)}`]));
    if (recipe.format !== defaultRecipe.format) words.push('--format', recipe.format);
    if (recipe.target !== defaultRecipe.target) words.push('--target', recipe.target);
    if (recipe.calibration.method !== defaultRecipe.calibration.method) words.push('--method', recipe.calibration.method);
    for (const pattern of recipe.exclude) words.push('--exclude', pattern);
  } else {
    words.push('--recipe', 'recipe.json');
  }
  if (hasSamples) {
    words.push('--calibrate', 'samples/');
    if (hasEvaluation) words.push('--evaluate', 'evaluation/');
    if (labels !== undefined) words.push('--labels', `${hasEvaluation ? 'evaluation' : 'samples'}/${labels}`);
    if (pictures !== undefined) {
      words.push('--preprocess', pictures.preset);
      if (pictures.color !== undefined) words.push('--color', pictures.color);
      if (pictures.resize !== undefined) words.push('--resize', String(pictures.resize));
    }
  }
  return words.map(quoted).join(' ');
}
