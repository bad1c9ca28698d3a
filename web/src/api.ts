/** What both faces of the package share. */
export { calibrate, Calibration, type CalibrateOptions, type Runner } from './calibrate.js';
export { compare, type CompareOptions } from './compare.js';
export { convert, dequantize, type ConvertOptions, type ConvertResult } from './convert.js';
export { errorMeanings, QuantError, type ErrorCode } from './errors.js';
export { forecast, type Forecast, type ForecastOptions } from './forecast.js';
export { inspect } from './inspect.js';
export { loadModel, Model, type LoadOptions } from './load-model.js';
export { outputName } from './output-name.js';
export { quantize, type QuantizeOptions, type QuantizeResult } from './quantize.js';
export {
  calibrationMethods,
  defaultRecipe,
  parseRecipe,
  parseRecipeJson,
  recipeJson,
  recipePresets,
  schemeNames,
  type CalibrationMethod,
  type QuantFormat,
  type QuantMode,
  type Recipe,
  type RecipeInput,
  type RecipePreset,
  type SchemeName,
  type Target,
  type TensorScheme,
  useOfSamples,
} from './recipe.js';
export { bytesText, lostText, numberText, percentText, shareText, sqnrText } from './report/format.js';
export { formulaLines } from './report/formula.js';
export { reportHtml } from './report/html.js';
export { summarizeProfile, type ProfileSummary, type StepShare } from './report/profile.js';
export * from './report/schema.js';
export {
  distributionKinds,
  listSchemes,
  tryScheme,
  type Distribution,
  type SchemeInput,
  type SchemeTarget,
} from './try-scheme.js';
export { readNpy, writeNpy } from './samples/npy.js';
export { readNpz } from './samples/npz.js';
export {
  choosePreprocessing,
  imagePresets,
  type ChosenPreprocessing,
  type PreprocessingChoice,
} from './samples/preprocessing.js';
export { onnxruntimeRunner, type OnnxRuntime, type OnnxRuntimeSession, type OnnxRuntimeTensor } from './runners/onnxruntime.js';
export {
  createSession,
  Session,
  sessionDefaults,
  type NodeTime,
  type SessionInfo,
  type SessionOptions,
  type SessionRunOptions,
} from './session.js';
export type { RoundingMasks } from './rounding-masks.js';
export { rangeMethods, weightClippings, type SchemeOverrides, type WeightClipping } from './scheme-overrides.js';
export { Toolkit, type ToolkitOptions } from './toolkit.js';
export type {
  Arithmetic,
  ByteInput,
  ByteReader,
  ByteWriter,
  DType,
  ExplainRow,
  Feeds,
  ImagePreprocessing,
  ImagePreset,
  ImageSample,
  KernelFamily,
  Progress,
  RunOptions,
  Sample,
  Samples,
  Tensor,
  TypedArray,
  ValueInfo,
} from './types.js';
export type { WritePlan, WriteTo } from './write-model.js';
