// What engine.bench.mjs times, the same in Node and in a page.
import { median, shuffler } from './work.mjs';

/** Seeded values for inputs as `model.info.inputs` says them; `shapes` for those that are not fixed. */
export function noiseFeeds(inputs, shapes, seed) {
  let state = seed;
  const draw = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  };
  const make = {
    f32: (n) => Float32Array.from({ length: n }, draw),
    i64: (n) => BigInt64Array.from({ length: n }, () => BigInt(Math.floor((draw() + 1) * 100))),
    i32: (n) => Int32Array.from({ length: n }, () => Math.floor((draw() + 1) * 100)),
  };
  const feeds = {};
  for (const { name, dtype, shape } of inputs) {
    const extents = shapes[name] ?? shape.map((extent) => Math.max(extent, 1));
    // A sampling rate is one number.
    const data = name === 'sr' ? BigInt64Array.of(16000n) : make[dtype](extents.reduce((a, b) => a * b, 1));
    feeds[name] = { dtype, shape: extents, data };
  }
  return feeds;
}

// In Node the time of the processor: on a busy machine it says more than a clock on the wall.
const now = () => {
  if (typeof process === 'undefined') return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

const ortTypes = { f32: 'float32', i64: 'int64', i32: 'int32' };

/** Medians of every engine, all on the calling thread, in another order each round. `integerShare`: of our time, on codes. */
export async function engineRuns({ openToolkit, loadModel, createSession }, ort, { quantized, float }, { shapes = {}, rounds }) {
  const toolkit = await openToolkit({ threads: 1, runIn: 'caller' });
  const model = await loadModel(toolkit, quantized);
  const feeds = noiseFeeds(model.info.inputs, shapes, 7);
  ort.env.wasm.numThreads = 1;
  const engines = {};
  const failures = {};
  const closing = [() => model.dispose(), () => toolkit.dispose()];
  for (const arithmetic of ['fast', 'integer_only']) {
    const session = await createSession(model, { arithmetic });
    closing.unshift(() => session.dispose());
    try {
      await session.run(feeds);
      engines[arithmetic] = () => session.run(feeds);
    } catch (error) {
      failures[arithmetic] = String(error);
    }
  }
  for (const [name, bytes] of Object.entries({ ortInt8: quantized, ortFloat: float })) {
    try {
      const peer = await ort.InferenceSession.create(bytes, {
        executionProviders: ['wasm'],
        graphOptimizationLevel: 'all',
        logSeverityLevel: 4,
      });
      const given = {};
      for (const [input, { dtype, data, shape }] of Object.entries(feeds))
        given[input] = new ort.Tensor(ortTypes[dtype], data, shape);
      await peer.run(given);
      engines[name] = () => peer.run(given);
    } catch (error) {
      failures[name] = String(error);
    }
  }
  const times = Object.fromEntries(Object.keys(engines).map((name) => [name, []]));
  const shuffled = shuffler();
  for (let round = -Math.max(4, Math.ceil(rounds / 2)); round < rounds; ++round)
    for (const [name, run] of shuffled(Object.entries(engines))) {
      const start = now();
      await run();
      if (round >= 0) times[name].push(now() - start);
    }
  const profiled = await createSession(model, { profile: true });
  for (let i = 0; i < 5; ++i) await profiled.run(feeds);
  const steps = await profiled.explain();
  const total = steps.reduce((sum, step) => sum + step.timeMs, 0);
  const onCodes = steps.reduce((sum, step) => sum + (step.integer ? step.timeMs : 0), 0);
  profiled.dispose();
  for (const close of closing) await close();
  return {
    mediansMs: Object.fromEntries(Object.entries(times).map(([name, all]) => [name, median(all)])),
    integerShare: onCodes / Math.max(total, 1e-9),
    failures,
  };
}
