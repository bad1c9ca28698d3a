import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

import { QuantError } from '../errors.js';
import { writeWhole } from '../platform-node.js';
import { forecast } from '../forecast.js';
import { outputName } from '../output-name.js';
import { quantize } from '../quantize.js';
import {
  calibrationMethods,
  parseRecipe,
  parseRecipeJson,
  type Recipe,
  type RecipeInput,
  recipePresets,
  type RecipePreset,
  schemeNames,
  useOfSamples,
} from '../recipe.js';
import { reportHtml } from '../report/html.js';
import { lintLines, reportText } from '../report/terminal.js';
import { onnxruntimeRunner } from '../runners/onnxruntime.js';
import { weightClippings } from '../scheme-overrides.js';
import { checkOutputs, onlyPositional, withContext } from './context.js';
import { exitCodes, UsageError } from './exit-codes.js';
import { commonOptions, type CommandSpec, flag, oneOf, sampleOptions, text, texts, type Values } from './options.js';
import { importOnnxRuntime } from './peer.js';
import { overridesFrom, setOption } from './set-option.js';
import { collectSamples, feedbackOf } from './samples.js';

export const quantizeSpec: CommandSpec = {
  name: 'quantize',
  summary: 'quantize a model on your own data, and measure what it cost',
  usage: 'quantize MODEL [-o OUT] [options]',
  options: {
    output: {
      type: 'string',
      short: 'o',
      value: 'OUT',
      help: 'the file to write (default: MODEL_quantized.onnx, or as transformers.js has it: _fp16, _int8, _uint8, _q4, _q4f16, _bnb4)',
    },
    mode: { type: 'string', value: 'MODE', help: 'static (default), dynamic, weight_only or float16' },
    recipe: { type: 'string', value: 'FILE', help: `a recipe as JSON, or one of ${Object.keys(recipePresets).join(', ')}` },
    target: { type: 'string', value: 'NAME', help: 'onnxruntime-web (default), onnxruntime or portable' },
    format: { type: 'string', value: 'FORM', help: 'qdq (default), or qoperator: QLinearConv, MatMulNBits, MatMulBnb4 ...' },
    scheme: {
      type: 'string',
      value: 'NAME',
      help: `weights; mode weight_only unless --mode says otherwise: ${schemeNames.join(', ')}`,
    },
    clipping: {
      type: 'string',
      value: 'NAME',
      help: `how far the codes of weights reach: ${weightClippings.join(', ')} (the last weighs errors by --calibrate)`,
    },
    set: setOption,
    method: {
      type: 'string',
      value: 'NAME',
      help: `calibrator: ${calibrationMethods.join(', ')} (default: min_max)`,
    },
    include: { type: 'string', multiple: true, value: 'PATTERN', help: 'only these nodes: a name, a glob, or op:Conv' },
    exclude: { type: 'string', multiple: true, value: 'PATTERN', help: 'these nodes stay in float' },
    runner: {
      type: 'string',
      value: 'NAME',
      help: 'onnxruntime: calibrate on onnxruntime-node or -web, where it is installed; for operators that are missing here',
    },
    evaluate: { type: 'string', value: 'PATH', help: 'measure on these samples instead of the calibration samples' },
    ...sampleOptions,
    report: { type: 'string', value: 'FILE.html', help: 'write the report as one HTML file with pictures' },
    'external-data': { type: 'boolean', help: 'keep the weights in one external file OUT_data' },
    'allow-larger': { type: 'boolean', help: 'accept a result that is not smaller' },
    'max-drop': {
      type: 'string',
      value: 'PERCENT',
      help: 'fail (exit 4) if accuracy, or top-1 agreement without labels, falls by more',
    },
    force: { type: 'boolean', short: 'f', help: 'overwrite OUT (never the input)' },
    ...commonOptions,
  },
  examples: [
    'bitwright quantize model.onnx --calibrate photos/ --preprocess imagenet',
    'bitwright quantize model.onnx -o small.onnx --mode weight_only',
    'bitwright quantize model.onnx --scheme i8 --set channelGroup=4 --set scaleForm=f16',
    'bitwright quantize model.onnx --scheme i4_b32 --clipping output_error --calibrate photos/',
    'bitwright quantize model.onnx --calibrate calib/ --evaluate eval/ --labels eval/labels.csv --report report.html',
    'bitwright quantize model.onnx --calibrate data.npz --runner onnxruntime',
    "bitwright quantize model.onnx --calibrate data.npz --exclude 'op:Softmax' --exclude '/head/*'",
  ],
};

function recipeOf(values: Values): Recipe {
  const given = text(values, 'recipe');
  let base: Recipe;
  if (given === undefined) base = parseRecipe();
  else if (Object.hasOwn(recipePresets, given)) base = parseRecipe(given as RecipePreset);
  else {
    let json: string;
    try {
      json = readFileSync(given, 'utf8');
    } catch {
      throw new UsageError(`--recipe is '${given}': no such file, and not one of ${Object.keys(recipePresets).join(', ')}`);
    }
    base = parseRecipeJson(json);
  }
  const mode = oneOf(values, 'mode', ['static', 'dynamic', 'weight_only', 'float16'] as const);
  const target = oneOf(values, 'target', ['onnxruntime-web', 'onnxruntime', 'portable'] as const);
  const method = oneOf(values, 'method', calibrationMethods);
  const format = oneOf(values, 'format', ['qdq', 'qoperator'] as const);
  const scheme = oneOf(values, 'scheme', schemeNames);
  const clipping = oneOf(values, 'clipping', weightClippings);
  const overrides = overridesFrom(values, { ...(clipping && { clipping }) });
  if (texts(values, 'set').length > 0 && (scheme ?? base.weight.scheme) === '')
    throw new UsageError('--set changes a part of a scheme; give --scheme NAME too');
  const changes: RecipeInput = {
    ...base,
    ...(format && { format }),
    weight: { ...base.weight, ...(scheme && { scheme }), overrides: { ...base.weight.overrides, ...overrides } },
    ...(scheme && mode === undefined && text(values, 'recipe') === undefined && { mode: 'weight_only' as const }),
    ...(mode && { mode }),
    ...(target && { target }),
    calibration: { ...base.calibration, ...(method && { method }) },
    include: [...base.include, ...texts(values, 'include')],
    exclude: [...base.exclude, ...texts(values, 'exclude')],
  };
  return parseRecipe(changes);
}

function maxDrop(values: Values): number | undefined {
  const given = text(values, 'max-drop');
  if (given === undefined) return undefined;
  const percent = Number(given.replace(/%$/, ''));
  if (!Number.isFinite(percent) || percent < 0 || percent > 100)
    throw new UsageError(`--max-drop is '${given}'; a number of per cent from 0 to 100 is needed`);
  return percent / 100;
}

export async function quantizeCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const path = onlyPositional(positionals, 'MODEL', 'quantize');
  const recipe = recipeOf(values);
  const output = text(values, 'output') ?? join(dirname(path), outputName(basename(path), recipe, text(values, 'recipe')));
  const reportPath = text(values, 'report');
  const isForced = flag(values, 'force');
  const isExternal = flag(values, 'external-data');
  const drop = maxDrop(values);
  const runnerName = oneOf(values, 'runner', ['onnxruntime'] as const);
  if (runnerName !== undefined && texts(values, 'calibrate').length === 0)
    throw new UsageError('--runner runs the calibration samples; give some with --calibrate PATH');
  const externalName = `${basename(output)}_data`;
  const externalPath = join(dirname(output), externalName);
  const isCalibrated = useOfSamples(recipe) === 'needed';
  if (isCalibrated && texts(values, 'calibrate').length === 0) {
    throw new UsageError(
      recipe.mode === 'static'
        ? '--calibrate PATH is needed for mode static: a folder of samples; or take --mode weight_only or dynamic'
        : '--calibrate PATH is needed for clipping output_error: a folder of samples; or take --clipping mse',
    );
  }
  const check = (inputs: readonly string[], isSplit = isExternal): void => {
    const outputs = [output, ...(isSplit ? [externalPath] : []), ...(reportPath === undefined ? [] : [reportPath])];
    checkOutputs(outputs, inputs, isForced);
  };
  check([path]);
  const runner = runnerName && onnxruntimeRunner(await importOnnxRuntime('onnxruntime-node', 'onnxruntime-web'));

  return await withContext(values, async (context) => {
    const model = await context.open(path);
    check(context.inputFiles());
    const hasSamples = texts(values, 'calibrate').length > 0;
    const evaluationPath = text(values, 'evaluate');
    const calibration = hasSamples
      ? collectSamples(
          context.toolkit,
          model.info.inputs,
          evaluationPath === undefined ? values : { ...values, labels: undefined },
        )
      : null;
    const evaluation =
      evaluationPath === undefined
        ? calibration
        : collectSamples(context.toolkit, model.info.inputs, { ...values, calibrate: [evaluationPath], limit: undefined });
    const warnings = [...new Set([...(calibration?.warnings ?? []), ...(evaluation?.warnings ?? [])])];
    if (isCalibrated && evaluation === calibration)
      warnings.push('measured on the calibration samples themselves; give --evaluate PATH for samples of their own');
    const { text: memory, isEnough } = await forecast(model, { recipe, measures: evaluation !== null }, context.run);
    if (!isEnough) warnings.push(`${memory}: it may end with out_of_memory; take mode weight_only without samples`);
    else context.note(memory);
    for (const warning of warnings) context.note(`warning: ${warning}`);
    const result = await quantize(
      model,
      {
        recipe,
        ...(calibration !== null && { calibration: calibration.samples, sourceNote: calibration.source }),
        evaluation: evaluation?.samples ?? false,
        ...(runner && { runner }),
        feedback: feedbackOf(values),
        outputPath: output,
        ...(isExternal && { externalName }),
        externalPath: isExternal ? externalPath : undefined,
        overflowPath: externalPath,
        beforeWrite: (plan) => {
          check(context.inputFiles(), plan.isExternal);
          for (const { severity, text: finding } of lintLines(plan.lint)) if (severity !== 'info') context.note(finding);
        },
        allowLarger: flag(values, 'allow-larger'),
        ...(calibration?.preprocessing && { preprocessingNote: calibration.preprocessing.note }),
        warnings,
      },
      context.run,
    );
    try {
      if (reportPath !== undefined) writeWhole(reportPath, reportHtml(result.report));
      context.print(
        flag(values, 'json')
          ? JSON.stringify(result.report)
          : reportText(result.report, { columns: process.stdout.columns ?? 120, isColor: isColorWanted() }),
      );
      context.note(
        `wrote ${output}${result.external === null ? '' : ` and ${externalPath}`}${reportPath === undefined ? '' : `, report ${reportPath}`}`,
      );
      if (drop !== undefined) {
        const { comparison } = result.report;
        const agreement = comparison?.outputs.find((row) => row.top1Agreement !== null)?.top1Agreement;
        const lost =
          comparison?.accuracy != null
            ? comparison.accuracy.reference.share - comparison.accuracy.quantized.share
            : agreement == null
              ? undefined
              : 1 - agreement.share;
        if (lost === undefined)
          throw new QuantError(
            'accuracy_missed',
            '--max-drop: nothing was measured; give samples with --calibrate or --evaluate',
          );
        if (lost > drop)
          throw new QuantError(
            'accuracy_missed',
            `lost ${(lost * 100).toFixed(2)} %, more than the ${(drop * 100).toFixed(2)} % of --max-drop; the file was written all the same`,
          );
      }
    } finally {
      result.dispose();
      model.dispose();
    }
    return exitCodes.done;
  });
}

function isColorWanted(): boolean {
  if (process.env['NO_COLOR']) return false;
  if (process.env['FORCE_COLOR']) return true;
  return process.stdout.isTTY === true;
}
