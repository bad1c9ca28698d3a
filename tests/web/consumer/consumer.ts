// A stranger's program: compiled by its own strict tsc against the package's declarations, never run.
import * as ort from 'onnxruntime-web';
import {
  calibrate,
  compare,
  createSession,
  inspect,
  loadModel,
  onnxruntimeRunner,
  openToolkit,
  parseRecipe,
  quantize,
  QuantError,
  reportHtml,
  type Progress,
  type Report,
  type Sample,
  type Tensor,
} from 'bitwright';

export async function main(file: File, samples: AsyncIterable<Sample>, signal: AbortSignal): Promise<Report> {
  const toolkit = await openToolkit({ threads: 2 });
  try {
    using model = await loadModel(toolkit, file);
    const onProgress = ({ stage, done, total, etaMs }: Progress): void => console.log(stage, done / total, etaMs ?? 0);
    const { inputs } = await inspect(model);
    const calibration = await calibrate(
      model,
      samples,
      { recipe: 'w8a8', runner: onnxruntimeRunner(ort) },
      { signal, onProgress },
    );
    const recipe = parseRecipe({ mode: 'static', exclude: ['op:Softmax'], calibration: { method: 'entropy' } });
    const result = await quantize(model, { recipe, calibration, evaluation: samples }, { signal, onProgress });
    const session = await createSession(result.model);
    const zeros: Tensor = { dtype: 'f32', shape: [1, 3, 8, 8], data: new Float32Array(192) };
    const outputs = await session.run({ [inputs[0]?.name ?? 'x']: zeros });
    const { accuracy } = await compare(model, result.model, samples);
    console.log(
      Object.keys(outputs),
      accuracy?.lost ?? 0,
      reportHtml(result.report).length,
      new Blob([result.bytes.slice()]).size,
    );
    // @ts-expect-error an unknown key of a recipe is an error
    await quantize(model, { recipe: { bits: 8 } });
    // @ts-expect-error results are readonly
    result.sizeBytes = 0;
    return result.report;
  } catch (error) {
    if (error instanceof QuantError && error.code === 'unsupported') console.error(error.subject);
    // @ts-expect-error not one of the codes
    if (error instanceof QuantError && error.code === 'no_such_code') console.error();
    throw error;
  } finally {
    await toolkit.dispose();
  }
}
