import type { Model } from './load-model.js';
import { Owned, sampleSpec } from './toolkit.js';
import type { Feeds, ImageSample, RunOptions, Tensor, ValueInfo } from './types.js';

export interface SessionOptions {
  readonly threads?: number;
  /** Keeps the time of every node: see `profile`. */
  readonly profile?: boolean;
}

export interface NodeTime {
  readonly node: string;
  readonly opType: string;
  readonly timeMs: number;
  readonly runs: number;
}

/** A model planned for runs on our engine. */
export class Session extends Owned {
  /** @internal */
  constructor(
    private readonly model: Model,
    private readonly id: number,
    readonly inputs: readonly ValueInfo[],
    readonly outputs: readonly ValueInfo[],
  ) {
    super(`a session of ${model.info.fileName}`, () => model.toolkit.call('disposeSession', { sessionId: id }));
  }

  /**
   * One run.
   *
   * @param input tensors by input name, or a picture with its preprocessing
   * @param observe names of inner values to return too
   * @throws QuantError `invalid_argument` where a feed's name, type or shape is wrong
   */
  async run(input: Feeds | ImageSample, run: RunOptions = {}): Promise<Readonly<Record<string, Tensor>>> {
    return (await this.runObserved(input, [], run)).outputs;
  }

  /** The same, with inner values by name: for finding out where two models part. */
  async runObserved(
    input: Feeds | ImageSample,
    observe: readonly string[],
    run: RunOptions = {},
  ): Promise<{ readonly outputs: Readonly<Record<string, Tensor>>; readonly observed: Readonly<Record<string, Tensor>> }> {
    this.checkLive();
    const isImage = 'image' in input && 'preprocessing' in input;
    const sample = await sampleSpec(isImage ? (input as ImageSample) : { feeds: input as Feeds });
    return await this.model.toolkit.call('runSession', { sessionId: this.id, sample, observe }, run);
  }

  /** Time per node over all runs so far; needs `profile: true`. */
  async profile(): Promise<readonly NodeTime[]> {
    this.checkLive();
    return await this.model.toolkit.call('profileSession', { sessionId: this.id });
  }
}

/**
 * Plans a model for runs.
 *
 * @throws QuantError `unsupported` naming the first node our engine cannot run
 * @example
 * const session = await createSession(model);
 * const { logits } = await session.run({ image: { dtype: 'f32', shape: [1, 3, 64, 64], data } });
 */
export async function createSession(model: Model, options: SessionOptions = {}, run: RunOptions = {}): Promise<Session> {
  model.checkLive();
  const { sessionId, inputs, outputs } = await model.toolkit.call(
    'createSession',
    { modelId: model.id, threads: options.threads ?? model.toolkit.info.threads, profile: options.profile ?? false },
    run,
  );
  return new Session(model, sessionId, inputs, outputs);
}
