import { Calibration, calibrate, type Runner } from './calibrate.js';
import { compare } from './compare.js';
import { QuantError } from './errors.js';
import { Model } from './load-model.js';
import { parseRecipe, recipeJson, type Recipe, type RecipeInput, type RecipePreset, seeded, useOfSamples } from './recipe.js';
import { HostPictures } from './samples/host-pictures.js';
import { reportSchemaVersion, type Comparison, type ModelInfo, type ModelSummary, type Report } from './report/schema.js';
import { checkMasks, type RoundingMasks } from './rounding-masks.js';
import { disposeSymbol } from './toolkit.js';
import type { RunOptions, Samples } from './types.js';
import { writeModel, type WriteTo } from './write-model.js';

export interface QuantizeOptions extends WriteTo {
  readonly recipe?: RecipePreset | RecipeInput;
  /** Samples or a finished calibration: needed by mode `static` and by clipping `output_error`, taken by half precision. */
  readonly calibration?: Samples | Calibration;
  /** Samples (with labels, if you have them) to measure the result on; the calibration samples where left out and an array. */
  readonly evaluation?: Samples | false;
  readonly runner?: Runner;
  readonly feedback?: Readonly<Record<string, string>>;
  /** For `weight.overrides.rounding` `mask`: one for each weight that becomes codes. */
  readonly roundingMasks?: RoundingMasks;
  /** False leaves SQNR, clipped share and histogram of weights out of the report: measuring takes longer than quantizing. */
  readonly measureWeights?: boolean;
  /** Accept a result that is not smaller. */
  readonly allowLarger?: boolean;
  /** Shown in the report: what the samples are, how pictures were prepared, things to know. */
  readonly sourceNote?: string;
  readonly preprocessingNote?: string;
  readonly warnings?: readonly string[];
}

export interface ExternalData {
  readonly name: string;
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
}

export interface QuantizeResult {
  /** The model file; empty where it was written to a path. */
  readonly bytes: Uint8Array;
  readonly sizeBytes: number;
  readonly external: ExternalData | null;
  readonly report: Report;
  /** The quantized model, ready to run or compare: dispose it. */
  readonly model: Model;
  dispose(): void;
  [Symbol.dispose](): void;
}

function summary(info: ModelInfo, bytes: number): ModelSummary {
  const { fileName, irVersion, opset, nodes, parameters } = info;
  return { fileName, bytes, irVersion, opset, nodes, parameters };
}

/** Outputs of which nothing is left: noise as large as the signal, NaN or infinity. */
function ruins(comparison: Comparison, isHalf: boolean): string[] {
  const remedy = isHalf
    ? 'values between nodes pass 65504: take float16.weightsOnly'
    : 'see which layers lose most, and exclude them';
  return comparison.outputs
    .filter(({ sqnr }) => !sqnr.isExact && !(sqnr.sqnrDb !== null && sqnr.sqnrDb > 3))
    .map(
      ({ value, sqnr }) =>
        `output '${value}' is ruined (${sqnr.sqnrDb === null ? 'NaN or infinity' : `${sqnr.sqnrDb.toFixed(1)} dB`}): ${remedy}`,
    );
}

/** Errors add up: the codes of the input were rounded once already. */
async function quantizeAnew(model: Model, recipe: Recipe, options: QuantizeOptions, run: RunOptions): Promise<QuantizeResult> {
  // What the files take is compared by the file that was given.
  const { bytes, externalBytes, fileName } = model.info;
  const answer = await model.toolkit.call('convertModel', { modelId: model.id, format: 'float', fileName }, run);
  const float = new Model(model.toolkit, answer.modelId, { ...answer.info, bytes, externalBytes, isQuantized: false });
  try {
    const warnings = [
      ...(options.warnings ?? []),
      'the input was quantized already and was dequantized first: errors add up, take the float model where you have it',
    ];
    const result = await quantize(float, { ...options, recipe, allowLarger: true, warnings }, run);
    const report = { ...result.report, messages: [...answer.messages, ...result.report.messages] };
    return { ...result, report };
  } finally {
    float.dispose();
  }
}

/**
 * Quantizes a model, writes it, and measures what it cost. A model that is quantized already is dequantized first.
 *
 * @returns the file, the report, and the quantized model: dispose it
 * @throws QuantError `bad_recipe`, `pattern_unmatched`, `nothing_quantized`, `not_smaller`, `unsupported`, `bad_data`; `shape_mismatch` naming
 * the tensor whose rounding mask is missing or has another length
 * @example
 * const result = await quantize(model, { recipe: 'w8a8', calibration: samples });
 * await writeFile('model_quantized.onnx', result.bytes);
 */
export async function quantize(model: Model, options: QuantizeOptions = {}, run: RunOptions = {}): Promise<QuantizeResult> {
  model.checkLive();
  const recipe = parseRecipe(options.recipe);
  const { toolkit } = model;
  if (model.info.isQuantized && !(options.calibration instanceof Calibration))
    return await quantizeAnew(model, recipe, options, run);
  const hostPictures = new HostPictures();
  const { calibration: given, roundingMasks = {} } = options;
  checkMasks(roundingMasks, recipe.weight.overrides.rounding);
  const use = useOfSamples(recipe);
  if (use === 'needed' && given === undefined) {
    throw new QuantError(
      'invalid_argument',
      recipe.mode === 'static'
        ? "mode 'static' needs calibration samples; give some, or take mode 'dynamic' or 'weight_only'"
        : "clipping 'output_error' weighs errors by calibration samples; give some, or take clipping 'mse'",
    );
  }
  let calibration: Calibration | undefined;
  let ownsCalibration = false;
  // Half floats can be made without having seen values: of a model that cannot be run here, too.
  const canSee = given instanceof Calibration || model.info.notRunnable === '' || options.runner !== undefined;
  if (given !== undefined && (use === 'needed' || (use === 'taken' && canSee))) {
    if (given instanceof Calibration) {
      given.checkLive();
      calibration = given;
    } else {
      calibration = await calibrate(
        model,
        hostPictures.watch(given),
        { recipe, ...(options.runner && { runner: options.runner }), ...(options.feedback && { feedback: options.feedback }) },
        run,
      );
      ownsCalibration = true;
    }
  }
  let quantized: Model | undefined;
  try {
    const answer = await toolkit.call(
      'quantize',
      {
        modelId: model.id,
        recipe: seeded(recipe),
        roundingMasks,
        recipeJson: recipeJson(recipe),
        calibrationId: calibration?.id ?? null,
        measuresWeights: options.measureWeights !== false,
      },
      run,
    );
    quantized = new Model(toolkit, answer.modelId, answer.info);
    const before = model.info.bytes + model.info.externalBytes;
    const warnings = [...(options.warnings ?? [])];
    const coded = new Set(answer.tensors.filter(({ role }) => role === 'weight').map(({ tensor }) => tensor));
    for (const tensor of Object.keys(roundingMasks))
      if (!coded.has(tensor)) warnings.push(`rounding mask of '${tensor}': no weight of that name became codes`);
    if (answer.sizeBytes >= before) {
      const finding = `the result has ${answer.sizeBytes} bytes, the input ${before}`;
      if (options.allowLarger !== true) {
        throw new QuantError('not_smaller', `${finding}; use mode weight_only or float16, or allow it (CLI: --allow-larger)`);
      }
      warnings.push(finding);
    }
    const written = await writeModel(quantized, answer, options, run, answer.lint);
    let comparison: Comparison | null = null;
    const samples = options.evaluation ?? (Array.isArray(given) ? (given as Samples) : undefined);
    if (samples !== undefined && samples !== false && model.info.notRunnable !== '')
      warnings.push(`nothing was measured, our engine cannot run the model: ${model.info.notRunnable}`);
    else if (samples !== undefined && samples !== false) {
      comparison = await compare(
        model,
        quantized,
        hostPictures.watch(samples),
        options.feedback ? { feedback: options.feedback } : {},
        run,
      );
      warnings.push(...ruins(comparison, recipe.mode === 'float16'));
    }
    warnings.push(...hostPictures.warnings());
    const afterBytes = written.sizeBytes + (written.external?.sizeBytes ?? 0);
    const report: Report = {
      schemaVersion: reportSchemaVersion,
      tool: { name: 'bitwright', version: toolkit.info.version },
      recipe,
      inputXxh64: answer.inputXxh64,
      before: summary(model.info, before),
      after: summary(answer.info, afterBytes),
      nodes: answer.nodes,
      tensors: answer.tensors,
      lint: answer.lint,
      messages: answer.messages,
      warnings,
      calibration:
        calibration === undefined
          ? null
          : { samples: calibration.sampleCount, source: options.sourceNote ?? 'samples given by the caller' },
      comparison,
      preprocessing: options.preprocessingNote ?? null,
    };
    const owned = quantized;
    return {
      bytes: written.bytes,
      sizeBytes: written.sizeBytes,
      external: written.external,
      report,
      model: owned,
      dispose: () => {
        owned.dispose();
      },
      [disposeSymbol]: () => {
        owned.dispose();
      },
    };
  } catch (error) {
    quantized?.dispose();
    throw error;
  } finally {
    if (ownsCalibration) calibration?.dispose();
  }
}
