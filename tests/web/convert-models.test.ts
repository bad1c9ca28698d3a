/**
 * Quantized models of others, those of ONNX Runtime's own tests: each is converted to float, to QDQ, to operators on codes and back to
 * QDQ, and onnxruntime-node runs the original and what it became, unoptimized, on seeded inputs.
 */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import type * as Ort from 'onnxruntime-common';
import { convert, dequantize, loadModel, QuantError, type ConvertResult, type Model } from '../../web/src/node.js';
import {
  modelsBelow,
  operatorsBy,
  type OrtFeeds,
  plainTypes,
  runtimeModels,
  runtimeStatus,
  seededFeeds,
  unpacked,
} from './support/conformance.js';
import { sqnrDb } from './support/measure.js';
import { whyNotShared } from './support/shared.js';
import { withToolkit } from './support/toolkit.js';

const ort = (await import('onnxruntime-node')) as unknown as typeof Ort;
const onCodes =
  /QLinear|QGemm|MatMulInteger|ConvInteger|MatMulNBits|MatMulBnb4|GatherBlockQuantized|DequantizeLinear|DynamicQuantize/;

/** Another form is the same arithmetic; sums in float (MatMulIntegerToFloat as QDQ) may come in another order. */
const leastDb = 60;

type Outputs = ReadonlyMap<string, readonly number[]>;

async function opened<T>(model: string | Uint8Array, work: (session: Ort.InferenceSession) => Promise<T> | T): Promise<T> {
  const session = await ort.InferenceSession.create(model as string, {
    graphOptimizationLevel: 'disabled',
    logSeverityLevel: 4,
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
  });
  try {
    return await work(session);
  } finally {
    await session.release();
  }
}

const outputsOf = (model: string | Uint8Array, feeds: OrtFeeds): Promise<Outputs> =>
  opened(model, async (session) => {
    const outputs = Object.entries(await session.run(feeds));
    return new Map(outputs.map(([name, { data }]) => [name, Array.from(data as Float32Array, Number)]));
  });

/** The smallest SQNR of an output. */
function nearest(before: Outputs, after: Outputs): number {
  assert.deepEqual([...after.keys()].sort(), [...before.keys()].sort());
  let least = Infinity;
  for (const [name, values] of before) {
    assert.equal(after.get(name)?.length, values.length, name);
    least = Math.min(least, sqnrDb(values, after.get(name) ?? []));
  }
  return least;
}

/** The conversion, or nothing where the model has no other form. */
async function madeOf(work: Promise<ConvertResult>): Promise<ConvertResult | undefined> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof QuantError && error.code === 'nothing_quantized') return undefined;
    throw error;
  }
}

void test(
  'quantized models of others become float, QDQ, operators on codes and QDQ again, which onnxruntime runs alike',
  { skip: whyNotShared(runtimeModels, runtimeStatus) },
  async (context) => {
    const operators = operatorsBy(runtimeStatus);
    const counts = { float: 0, qdq: 0, qoperator: 0, back: 0 };
    const faults: string[] = [];
    await unpacked(runtimeModels, async (folder) => {
      const names = modelsBelow(folder, '.onnx').filter((name) => onCodes.test(operators.get(name) ?? ''));
      await withToolkit(async (toolkit) => {
        for (const name of names) {
          const path = join(folder, name);
          let feeds: OrtFeeds | undefined;
          let before: Outputs;
          try {
            feeds = await opened(path, (session) => {
              const isPlain = session.outputMetadata.every((one) => one.isTensor && plainTypes.has(one.type));
              return isPlain ? seededFeeds(ort, session, 1) : undefined;
            });
            if (feeds === undefined) continue;
            before = await outputsOf(path, feeds);
          } catch {
            continue; // onnxruntime does not run the original
          }
          const given = feeds;
          const check = async (form: keyof typeof counts, model: Model, next?: (made: Model) => Promise<void>) => {
            const made = await madeOf(
              form === 'float' ? dequantize(model) : convert(model, { format: form === 'back' ? 'qdq' : form }),
            );
            if (made === undefined) return;
            counts[form] += 1;
            try {
              const near = nearest(before, await outputsOf(made.bytes, given));
              // What float loses to its codes is no error of the conversion.
              if (form !== 'float' && near < leastDb) faults.push(`${name} as ${form}: ${near.toFixed(1)} dB`);
              await next?.(made.model);
            } catch (error) {
              faults.push(`${name} as ${form}: ${(error as Error).message.slice(0, 200)}`);
            } finally {
              made.dispose();
            }
          };
          const model = await loadModel(toolkit, path);
          try {
            await check('float', model);
            await check('qdq', model);
            await check('qoperator', model, (made) => check('back', made));
          } finally {
            model.dispose();
          }
        }
      });
    });
    context.diagnostic(JSON.stringify(counts));
    assert.deepEqual(faults, []);
    assert.ok(counts.float >= 35 && counts.qdq >= 2 && counts.qoperator >= 20 && counts.back >= 15, JSON.stringify(counts));
  },
);
