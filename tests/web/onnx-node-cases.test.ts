/** ONNX's own backend cases of the operators that quantize, in the modules as they are shipped. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { createSession, loadModel, type Tensor, type Toolkit } from '../../web/src/node.js';
import { numbers } from './support/measure.js';
import { sharedPath, whyNotShared } from './support/shared.js';
import { withToolkit } from './support/toolkit.js';

const pack = 'data/conformance/onnx_backend_tests.tar.gz';
const skip = whyNotShared(pack);
const families =
  /^test_(quantizelinear|dequantizelinear|dynamicquantizelinear|qlinearconv|qlinearmatmul|matmulinteger|(basic_)?convinteger)/;
/** As onnx.backend.test compares floats; codes must be equal. */
const relative = 1e-3;
const absolute = 1e-7;

const folder = mkdtempSync(join(tmpdir(), 'bitwright-nodes-'));
after(() => {
  rmSync(folder, { recursive: true });
});

/** Where each case's files lie, by its name. */
function unpacked(): Map<string, string> {
  const archive = sharedPath(pack);
  const list = execFileSync('tar', ['-tzf', archive], { encoding: 'utf8', maxBuffer: 1 << 26 }).split('\n');
  const wanted = list.filter((path) => families.test(path.split('/').at(-2) ?? '') && path.endsWith('/model.onnx'));
  const cases = wanted.map((path) => path.slice(0, -'/model.onnx'.length));
  execFileSync('tar', ['-xzf', archive, '-C', folder, ...cases]);
  return new Map(cases.map((path) => [path.split('/').at(-1) ?? '', join(folder, path)]));
}

const readTensor = async (toolkit: Toolkit, path: string): Promise<Tensor> =>
  (await toolkit.call('readTensorProto', { bytes: new Uint8Array(readFileSync(path)) })).tensor;

/** Halves and 8-bit floats are given as bits, and must be equal. */
const isFloat = (dtype: string): boolean => dtype === 'f32' || dtype === 'f64';

/** The first place where two tensors differ, or nothing. */
function difference(found: Tensor, wanted: Tensor): string | undefined {
  if (found.dtype !== wanted.dtype) return `${found.dtype} instead of ${wanted.dtype}`;
  if (found.shape.join() !== wanted.shape.join()) return `[${found.shape.join()}] instead of [${wanted.shape.join()}]`;
  const [ours, theirs] = [numbers(found), numbers(wanted)];
  for (let i = 0; i < theirs.length; ++i) {
    const [a, b] = [ours[i] ?? NaN, theirs[i] ?? NaN];
    const slack = isFloat(found.dtype) ? relative * Math.abs(b) + absolute : 0;
    if (a !== b && !(Number.isNaN(a) && Number.isNaN(b)) && !(Math.abs(a - b) <= slack)) return `[${i}] is ${a} instead of ${b}`;
  }
  return undefined;
}

void test("ONNX's backend cases of operators that quantize", { skip }, async (context) => {
  const cases = unpacked();
  assert.ok(cases.size >= 40, `${cases.size} cases`);
  await withToolkit(async (toolkit) => {
    for (const [name, path] of cases)
      await context.test(name, async () => {
        const model = await loadModel(toolkit, join(path, 'model.onnx'));
        const session = await createSession(model, { arithmetic: 'simulated' });
        const sets = readdirSync(path).filter((entry) => entry.startsWith('test_data_set'));
        assert.ok(sets.length > 0);
        for (const set of sets) {
          const feeds: Record<string, Tensor> = {};
          for (const [i, input] of model.info.inputs.entries())
            feeds[input.name] = await readTensor(toolkit, join(path, set, `input_${i}.pb`));
          const outputs = await session.run(feeds);
          for (const [i, { name: output }] of model.info.outputs.entries()) {
            const found = outputs[output];
            assert.ok(found !== undefined, output);
            assert.equal(difference(found, await readTensor(toolkit, join(path, set, `output_${i}.pb`))), undefined, output);
          }
        }
        session.dispose();
        model.dispose();
      });
  });
});
