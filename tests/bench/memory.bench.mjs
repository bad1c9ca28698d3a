// Peak memory of a process that calibrates MobileNetV2 (entropy: with histograms) on 8 and on 64 samples. Goal: equal within 5 %.
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { capture, hostNode } from '../../scripts/steps.mjs';
import { loadPackage, modelPath, needModel } from './host.mjs';
import { noiseFeeds } from './work.mjs';

async function calibrateOn(count) {
  const { openToolkit, loadModel, calibrate } = await loadPackage();
  const toolkit = await openToolkit();
  const model = await loadModel(toolkit, new Uint8Array(readFileSync(modelPath)));
  const [sample] = noiseFeeds(model.info.inputs[0].name, 1);
  const samples = (function* () {
    for (let i = 0; i < count; ++i) yield sample;
  })();
  const calibration = await calibrate(model, samples, { recipe: { calibration: { method: 'entropy' } } });
  calibration.dispose();
  model.dispose();
  await toolkit.dispose();
  console.log(process.resourceUsage().maxRSS);
}

const counted = process.argv[2];
if (counted !== undefined) {
  await calibrateOn(Number(counted));
} else {
  needModel();
  console.log('| samples | peak memory, MB |\n|---|---|');
  const peaks = [8, 64].map((count) => {
    const megabytes = Number(capture(hostNode, [fileURLToPath(import.meta.url), String(count)]).stdout) / 1024;
    console.log(`| ${count} | ${megabytes.toFixed(1)} |`);
    return megabytes;
  });
  console.log(`| ratio | ${(peaks[1] / peaks[0]).toFixed(3)} |`);
}
