// Products of one node, timed on our engine and on onnxruntime-web in turn; the same in Node and in a browser.
import * as models from './one-node.mjs';
import { median } from './work.mjs';

const relativeError = (found, wanted) => {
  let [difference, size] = [0, 0];
  for (let i = 0; i < wanted.length; ++i) {
    difference += (found[i] - wanted[i]) ** 2;
    size += wanted[i] ** 2;
  }
  return Math.sqrt(difference / size);
};

/** Times whole calls, of both engines on the calling thread, each given its last result to write in; short ones several at once. */
export async function productRuns({ openToolkit, loadModel, createSession }, ort, _bytes, { products, rounds }) {
  ort.env.wasm.numThreads = 1;
  const rows = [];
  for (const product of products) {
    const toolkit = await openToolkit({ threads: 1, runIn: 'caller' });
    const bytes = models[product.kind](product);
    const data = models.activations(product);
    const feeds = { x: { dtype: 'f32', shape: [product.m, product.k], data } };
    const peerFeeds = { x: new ort.Tensor('float32', data, [product.m, product.k]) };
    const model = await loadModel(toolkit, bytes);
    const session = await createSession(model, { threads: 1 });
    const peer = await ort.InferenceSession.create(bytes, { executionProviders: ['wasm'], graphOptimizationLevel: 'all' });
    const [ours, theirs] = [[], []];
    const work = (product.m * product.n * product.k) / 2e7;
    const perRound = Math.max(1, Math.min(20, Math.round(2 / work)));
    let outputs, wanted;
    for (let round = -40; round < rounds; ++round) {
      if (round === 0) ours.length = theirs.length = 0;
      let start = performance.now();
      for (let i = 0; i < perRound; ++i) outputs = await session.run(feeds, outputs && { outputs: { y: outputs.y.data } });
      ours.push((performance.now() - start) / perRound);
      start = performance.now();
      for (let i = 0; i < perRound; ++i) wanted = await peer.run(peerFeeds, ...(wanted === undefined ? [] : [{ y: wanted.y }]));
      theirs.push((performance.now() - start) / perRound);
    }
    rows.push({
      ...product,
      oursMs: median(ours),
      ortWebMs: median(theirs),
      error: relativeError(outputs.y.data, wanted.y.data),
    });
    await peer.release();
    session.dispose();
    model.dispose();
    await toolkit.dispose();
  }
  return rows;
}
