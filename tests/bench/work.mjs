// What is timed, the same in Node and in a browser: a package (web/dist), a model's bytes, and perhaps onnxruntime.

export const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
};

/** Puts lists in another order at each call: what ran before decides what caches hold, and how long our worker has slept. */
export function shuffler() {
  let seed = 1;
  const below = (n) => (seed = (seed * 48271) % 2147483647) % n;
  return (list) => {
    const order = [...list];
    for (let i = order.length - 1; i > 0; --i) {
      const j = below(i + 1);
      [order[i], order[j]] = [order[j], order[i]];
    }
    return order;
  };
}

const timed = async (times, work) => {
  const start = performance.now();
  const answer = await work();
  times.push(performance.now() - start);
  return answer;
};

/** Inputs of seeded noise in [-1, 1) for models of one [1, 3, 224, 224] input. */
export function noiseFeeds(input, count) {
  let state = 2026;
  return Array.from({ length: count }, () => {
    const data = new Float32Array(3 * 224 * 224);
    for (let i = 0; i < data.length; ++i) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      data[i] = state / 2 ** 31 - 1;
    }
    return { feeds: { [input]: { dtype: 'f32', shape: [1, 3, 224, 224], data } } };
  });
}

/** Reads, quantizes (weights only, int8) and writes from bytes to bytes; between the rounds, a plain copy of the input. */
export async function weightOnly({ openToolkit, loadModel, quantize }, bytes, { rounds, transfer }) {
  const toolkit = await openToolkit();
  const [copies, ours] = [[], []];
  let sizeBytes = 0;
  for (let round = -Math.ceil(rounds / 3); round < rounds; ++round) {
    if (round === 0) copies.length = ours.length = 0;
    const given = transfer ? bytes.slice() : bytes;
    const copy = await timed(copies, () => bytes.slice());
    if (copy.length !== bytes.length) throw new Error('the copy is not whole');
    const result = await timed(ours, async () => {
      const model = await loadModel(toolkit, given, { transfer });
      const quantized = await quantize(model, { recipe: 'weight_only', evaluation: false, measureWeights: false });
      return { model, quantized };
    });
    sizeBytes = result.quantized.bytes.length;
    result.quantized.dispose();
    result.model.dispose();
  }
  await toolkit.dispose();
  return { copyMs: median(copies), quantizeMs: median(ours), ratio: median(ours) / median(copies), sizeBytes };
}

/** Calibrates on `samples`, quantizes and writes; between the rounds, as many plain float runs. */
export async function staticMode({ openToolkit, loadModel, quantize, createSession }, bytes, { rounds, nSamples }) {
  const toolkit = await openToolkit();
  const model = await loadModel(toolkit, bytes);
  const samples = noiseFeeds(model.info.inputs[0].name, nSamples);
  const session = await createSession(model);
  const [runs, ours] = [[], []];
  await session.run(samples[0].feeds);
  for (let round = 0; round < rounds; ++round) {
    await timed(runs, async () => {
      for (const { feeds } of samples) await session.run(feeds);
    });
    const result = await timed(ours, () =>
      quantize(model, { recipe: 'w8a8', calibration: samples, evaluation: false, measureWeights: false }),
    );
    result.dispose();
  }
  session.dispose();
  model.dispose();
  await toolkit.dispose();
  return { runsMs: median(runs), staticMs: median(ours), ratio: median(ours) / median(runs) };
}

/** One inference in float: our engine and onnxruntime-web in turn, on the calling thread. */
export async function floatRuns({ openToolkit, loadModel, createSession }, ort, bytes, { rounds }) {
  const toolkit = await openToolkit({ runIn: 'caller' });
  const model = await loadModel(toolkit, bytes);
  const input = model.info.inputs[0].name;
  const { feeds } = noiseFeeds(input, 1)[0];
  const session = await createSession(model);
  ort.env.wasm.numThreads = 1;
  const peer = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
  const peerFeeds = { [input]: new ort.Tensor('float32', feeds[input].data, feeds[input].shape) };
  const [ours, theirs] = [[], []];
  for (let round = -3; round < rounds; ++round) {
    if (round === 0) ours.length = theirs.length = 0;
    await timed(ours, () => session.run(feeds));
    await timed(theirs, () => peer.run(peerFeeds));
  }
  await peer.release();
  session.dispose();
  model.dispose();
  await toolkit.dispose();
  return { oursMs: median(ours), ortWebMs: median(theirs), ratio: median(ours) / median(theirs) };
}

/** Runs of an int8 model with one thread and with two, in turn, on the calling thread. */
export async function threadRuns({ openToolkit, loadModel, createSession }, bytes, { rounds }) {
  const toolkits = [await openToolkit({ threads: 1, runIn: 'caller' }), await openToolkit({ threads: 2, runIn: 'caller' })];
  const [sessions, times] = [[], [[], []]];
  for (const toolkit of toolkits) sessions.push(await createSession(await loadModel(toolkit, bytes.slice())));
  const [{ feeds }] = noiseFeeds('input', 1);
  for (let round = -10; round < rounds; ++round)
    for (const [i, session] of sessions.entries()) await timed(round < 0 ? [] : times[i], () => session.run(feeds));
  const { threads, kernels } = sessions[1].info;
  for (const toolkit of toolkits) await toolkit.dispose();
  return { threads, kernels, medians: times.map(median) };
}
