import { compare } from '../compare.js';
import { comparisonText } from '../report/terminal.js';
import { exitCodes, UsageError } from './exit-codes.js';
import { withContext } from './context.js';
import { commonOptions, type CommandSpec, flag, sampleOptions, texts, type Values } from './options.js';
import { collectSamples, feedbackOf } from './samples.js';

export const compareSpec: CommandSpec = {
  name: 'compare',
  summary: 'run two models on the same samples and show where they part',
  usage: 'compare REFERENCE QUANTIZED --calibrate PATH [options]',
  options: { ...sampleOptions, ...commonOptions },
  examples: [
    'bitwright compare model.onnx model_quantized.onnx --calibrate photos/ --preprocess imagenet',
    'bitwright compare a.onnx b.onnx --calibrate eval/ --labels eval/labels.csv --json',
  ],
};

export async function compareCommand(values: Values, positionals: readonly string[]): Promise<number> {
  const [referencePath, quantizedPath, ...rest] = positionals;
  if (referencePath === undefined || quantizedPath === undefined || rest.length > 0)
    throw new UsageError("two models are needed; see 'bitwright compare --help'");
  if (texts(values, 'calibrate').length === 0) throw new UsageError('--calibrate PATH is needed: the samples to compare on');
  return await withContext(values, async (context) => {
    const reference = await context.open(referencePath);
    const quantized = await context.open(quantizedPath);
    const set = collectSamples(context.toolkit, reference.info.inputs, values);
    for (const warning of set.warnings) context.note(`warning: ${warning}`);
    const comparison = await compare(reference, quantized, set.samples, { feedback: feedbackOf(values) }, context.run);
    context.print(flag(values, 'json') ? JSON.stringify(comparison) : comparisonText(comparison));
    reference.dispose();
    quantized.dispose();
    return exitCodes.done;
  });
}
