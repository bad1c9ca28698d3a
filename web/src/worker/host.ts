/** Answers calls: holds the compiled module and turns requests into its functions. Runs in a worker, or beside its caller. */
import { fromErrorData, QuantError } from '../errors.js';
import { decodeImage } from '../samples/decode-image.js';
import type { NamedScheme } from '../report/schema.js';
import type { Progress, Tensor } from '../types.js';
import { hasRelaxedSimd } from '../wasm/choose.js';
import type { Core, CoreProgress, Guarded } from '../wasm/core.js';
import type { OpenedSink, Platform } from './platform.js';
import type { AnswerOf, CallWatch, OpenOptions, RequestOf, SampleSpec, SinkSpec, Verb, WasmInfo } from './protocol.js';

type Handlers = {
  [V in Verb]: (request: RequestOf<V>, watch: CallWatch) => AnswerOf<V> | Promise<AnswerOf<V>>;
};

function unwrap<T>(result: Guarded<T>): T {
  if (result.error !== undefined) throw fromErrorData({ name: 'QuantError', ...result.error });
  return result.value;
}

/** Adds a time estimate to progress, keeps it to about 20 messages a second, ends each stage before the next begins, and says stop. */
function paced<T>({ onProgress, isCancelled }: CallWatch, work: (tell: CoreProgress) => T): T {
  let stage = '';
  let startedMs = 0;
  let toldMs = 0;
  let left: Progress | undefined;
  const endStage = (): void => {
    if (left !== undefined) onProgress({ stage, done: left.total, total: left.total });
    left = undefined;
  };
  const result = work((name, done, total) => {
    if (isCancelled()) return false;
    const nowMs = performance.now();
    if (name !== stage) {
      endStage();
      stage = name;
      startedMs = nowMs;
      toldMs = 0;
    }
    left = done < total ? { stage, done, total } : undefined;
    if (nowMs - toldMs < 50 && done < total) return true;
    toldMs = nowMs;
    const etaMs = done > 0 && total > done ? ((nowMs - startedMs) / done) * (total - done) : undefined;
    onProgress(etaMs === undefined ? { stage: name, done, total } : { stage: name, done, total, etaMs });
    return true;
  });
  endStage();
  return result;
}

/** What a 32-bit module can address. */
const maxModuleBytes = 2 ** 32;

/** True for what leaves the module's memory in an unknown state: a trap, or a stack that ran over. */
function isCrash(error: unknown): error is Error {
  return error instanceof WebAssembly.RuntimeError || (error instanceof RangeError && /call stack/i.test(error.message));
}

/** One opened toolkit on the host's side. */
export class Host {
  private crash: QuantError | undefined;

  private constructor(
    private readonly core: Core,
    private readonly platform: Platform,
    private readonly wasmInfo: WasmInfo,
  ) {}

  static async open(platform: Platform, options: OpenOptions): Promise<Host> {
    const { core, info } = await platform.loadCore(options).catch(async (error: unknown) => {
      // A build may have the plain module alone (`npm run build -- --dev`): `auto` does with what is there.
      if (options.variant !== 'auto' || !hasRelaxedSimd()) throw error;
      const plain = await platform.loadCore({ ...options, variant: 'simd' });
      const reason = plain.info.reason.replace('simd: asked for', 'simd: the relaxed module is not there');
      return { ...plain, info: { ...plain.info, reason } };
    });
    return new Host(core, platform, info);
  }

  async call<V extends Verb>(verb: V, request: RequestOf<V>, watch: CallWatch): Promise<AnswerOf<V>> {
    const handler = this.handlers[verb] as Handlers[V] | undefined;
    if (handler === undefined) throw new QuantError('internal', `the host has no verb '${String(verb)}'`);
    if (this.crash !== undefined) throw this.crash;
    if (watch.isCancelled()) throw new QuantError('aborted', 'cancelled by the caller');
    try {
      return await handler(request, watch);
    } catch (error) {
      if (!isCrash(error)) throw error;
      this.crash = new QuantError(
        'toolkit_lost',
        `the engine stopped: ${error.message}; open a new toolkit, and report it please`,
      );
      throw this.crash;
    }
  }

  private async feedsOf(sample: SampleSpec): Promise<Record<string, Tensor>> {
    if (sample.kind === 'feeds') return sample.feeds;
    return { [sample.input]: await this.imageTensor(sample) };
  }

  private async imageTensor(sample: Exclude<SampleSpec, { kind: 'feeds' }>): Promise<Tensor> {
    const picture =
      sample.kind === 'pixels'
        ? { rgb: sample.rgb, width: sample.width, height: sample.height }
        : await decodeImage(sample.bytes, sample.name, this.platform.decodeOtherImage);
    return unwrap(this.core.preprocessImage(picture.rgb, picture.width, picture.height, sample.preprocessing));
  }

  private write(spec: SinkSpec, name: string) {
    return this.platform.openSink(spec, name);
  }

  private readonly handlers: Handlers = {
    info: () => this.wasmInfo,
    openModel: ({ source, external }) => {
      const opened = this.platform.openSource(source);
      const externalNames: string[] = [];
      const modelId = unwrap(
        this.core.openModel(opened, (name) => {
          const spec = Object.hasOwn(external, name) ? external[name] : undefined;
          const file = spec === undefined ? this.platform.openSibling(source, name) : this.platform.openSource(spec);
          if (file !== null) externalNames.push(name);
          return file;
        }),
      );
      try {
        return { modelId, info: unwrap(this.core.inspect(modelId)), externalNames };
      } catch (error) {
        this.core.disposeModel(modelId);
        throw error;
      }
    },
    inspect: ({ modelId }) => unwrap(this.core.inspect(modelId)),
    memory: ({ modelId }) => ({
      activationBytes: unwrap(this.core.activationBytes(modelId)),
      heldBytes: this.core.HEAPU8.byteLength,
      allowedBytes: Math.min(maxModuleBytes, this.platform.memoryBytes()),
    }),
    disposeModel: ({ modelId }) => {
      this.core.disposeModel(modelId);
      return null;
    },
    createSession: ({ modelId, options }) => unwrap(this.core.createSession(modelId, options)),
    runSession: async ({ sessionId, sample, observe, outputs }) =>
      unwrap(this.core.runSession(sessionId, await this.feedsOf(sample), observe, outputs)),
    explainSession: ({ sessionId }) => unwrap(this.core.explainSession(sessionId)),
    disposeSession: ({ sessionId }) => {
      this.core.disposeSession(sessionId);
      return null;
    },
    beginCalibration: ({ modelId, recipe, external }) => unwrap(this.core.beginCalibration(modelId, recipe, external)),
    feedCalibration: async ({ calibrationId, sample }) => ({
      outputs: unwrap(this.core.feedCalibration(calibrationId, await this.feedsOf(sample))),
    }),
    observeCalibration: ({ calibrationId, values }) => unwrap(this.core.observeCalibration(calibrationId, values)),
    disposeCalibration: ({ calibrationId }) => {
      this.core.disposeCalibration(calibrationId);
      return null;
    },
    quantize: ({ modelId, recipe, roundingMasks, recipeJson, calibrationId, measuresWeights }, watch) => {
      const masks: Record<string, Tensor> = {};
      for (const [name, data] of Object.entries(roundingMasks)) masks[name] = { dtype: 'u8', shape: [data.length], data };
      const result = paced(watch, (tell) =>
        unwrap(
          this.core.quantize(modelId, { ...recipe, roundingMasks: masks }, recipeJson, calibrationId ?? 0, measuresWeights, tell),
        ),
      );
      return { ...result, info: unwrap(this.core.inspect(result.modelId)) };
    },
    convertModel: ({ modelId, format, fileName }) => {
      const result = unwrap(this.core.convertModel(modelId, format, fileName));
      return { ...result, info: unwrap(this.core.inspect(result.modelId)) };
    },
    writeModel: ({ modelId, sink, externalName, externalSink }, watch) => {
      const main = this.write(sink, 'the model');
      let external: OpenedSink | null = null;
      try {
        if (externalSink !== null) external = this.write(externalSink, externalName);
        const taker = external?.core ?? null;
        paced(watch, (tell) => unwrap(this.core.writeModel(modelId, main.core, taker, externalName, tell)));
        // The model last: where it stands, its data stands too.
        const data = external === null ? null : { name: externalName, ...external.finish() };
        return { ...main.finish(), external: data };
      } catch (error) {
        main.discard();
        external?.discard();
        throw error;
      }
    },
    beginComparison: ({ referenceId, quantizedId }) => ({
      comparisonId: unwrap(this.core.beginComparison(referenceId, quantizedId)),
    }),
    feedComparison: async ({ comparisonId, sample, quantizedState, label }) => {
      const feeds = await this.feedsOf(sample);
      const own = Object.keys(quantizedState).length === 0 ? null : { ...feeds, ...quantizedState };
      return unwrap(this.core.feedComparison(comparisonId, feeds, own, label));
    },
    finishComparison: ({ comparisonId }) => unwrap(this.core.finishComparison(comparisonId)),
    disposeComparison: ({ comparisonId }) => {
      this.core.disposeComparison(comparisonId);
      return null;
    },
    preprocess: async ({ sample }) => {
      if (sample.kind === 'feeds') throw new QuantError('invalid_argument', 'a picture is needed');
      return await this.imageTensor(sample);
    },
    modelWithOutputs: ({ modelId, values }) => {
      const copyId = unwrap(this.core.modelWithOutputs(modelId, values));
      const sink = this.write({ kind: 'bytes', expectedBytes: 0 }, 'the model');
      try {
        unwrap(this.core.writeModel(copyId, sink.core, null, '', () => true));
        return { bytes: sink.finish().bytes };
      } finally {
        sink.discard();
        this.core.disposeModel(copyId);
      }
    },
    listSchemes: () => JSON.parse(unwrap(this.core.listSchemes())) as Omit<NamedScheme, 'targets'>[],
    tryScheme: ({ modelId, name, tensor, distribution, scheme }) =>
      unwrap(this.core.tryScheme(modelId, name, tensor, distribution, scheme)),
    readTensorProto: ({ bytes }) => unwrap(this.core.readTensorProto(bytes)),
    writeTensorProto: ({ name, tensor }) => ({ bytes: unwrap(this.core.writeTensorProto(name, tensor)) }),
    liveHandles: () => ({ handles: this.core.liveHandles(), heldBytes: this.core.HEAPU8.byteLength }),
  };
}
