import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { loadModel, openToolkit, quantize } from '../../web/src/node.js';
import { matMulModel, storedTensors, type WeightSpec } from '../support/wire.js';

/**
 * The value at (row, column) of a weight is code * 2^-10 * (1 + column mod 3), with code pseudo-random in [-127, 127] and 127 in
 * row 0. So the largest magnitude of each column is 127 steps, its scale is exactly the step, and its codes are known without any
 * floating-point arithmetic.
 */
const rows = 4096;
const columns = 16384;
const nWeights = 24; // 24 * 256 MiB = 6.4 GB
const tableRows = 61;

/** Codes of one weight repeat every 61 rows after row 0; each weight starts at its own place of the table. */
function makeTable(): Int8Array {
  const table = new Int8Array(tableRows * columns);
  let state = 2026;
  for (let i = 0; i < table.length; ++i) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    table[i] = ((state >>> 8) % 255) - 127;
  }
  return table;
}

void test(
  'weights of a 6 GB model are quantized in at most 300 MB and twice the largest tensor',
  { timeout: 1_200_000 },
  async (context) => {
    const table = makeTable();
    const steps = Float32Array.from({ length: columns }, (_, c) => 2 ** -10 * (1 + (c % 3)));
    const codeRow = (weight: number, row: number): Int8Array => {
      const start = ((row + weight * 7) % tableRows) * columns;
      return table.subarray(start, start + columns);
    };
    const weightBytes = rows * columns * 4;
    const rowBytes = columns * 4;
    const scratch = new Float32Array(columns);
    const scratchBytes = new Uint8Array(scratch.buffer);
    const reader = {
      sizeBytes: weightBytes * nWeights,
      read: (offset: number, target: Uint8Array): void => {
        for (let done = 0; done < target.byteLength;) {
          const at = offset + done;
          const weight = Math.floor(at / weightBytes);
          const row = Math.floor((at % weightBytes) / rowBytes);
          const codes = codeRow(weight, row);
          for (let c = 0; c < columns; ++c) scratch[c] = (row === 0 ? 127 : (codes[c] as number)) * (steps[c] as number);
          const within = at % rowBytes;
          const n = Math.min(rowBytes - within, target.byteLength - done);
          target.set(scratchBytes.subarray(within, within + n), done);
          done += n;
        }
      },
    };
    const weights: WeightSpec[] = Array.from({ length: nWeights }, (_, i) => ({
      name: `w${i}`,
      k: rows,
      n: columns,
      offset: i * weightBytes,
    }));
    const toolkit = await openToolkit();
    const pieces: Uint8Array[] = [];
    let external = 0;
    const streamed = createHash('sha256');
    try {
      const model = await loadModel(toolkit, matMulModel(weights, 'weights.bin'), { external: { 'weights.bin': reader } });
      const result = await quantize(model, {
        recipe: 'weight_only',
        evaluation: false,
        output: { write: (bytes) => void pieces.push(bytes.slice()) },
        externalName: 'out_data',
        externalOutput: {
          write: (bytes) => {
            streamed.update(bytes);
            external += bytes.byteLength;
          },
        },
      });
      result.dispose();
      model.dispose();
    } finally {
      await toolkit.dispose();
    }
    const peak = process.resourceUsage().maxRSS * 1024;
    context.diagnostic(`peak resident memory ${(peak / 1e6).toFixed(0)} MB for tensors of ${(weightBytes / 1e6).toFixed(0)} MB`);

    // What must have been written: every tensor at the place that the small file names, zeros between.
    const stored = storedTensors(Buffer.concat(pieces))
      .filter((tensor) => tensor.location === 'out_data')
      .sort((a, b) => a.offset - b.offset);
    const expected = createHash('sha256');
    let at = 0;
    let nCodes = 0;
    for (const tensor of stored) {
      expected.update(new Uint8Array(tensor.offset - at));
      at = tensor.offset + tensor.length;
      const weight = Number(/^w(\d+)/.exec(tensor.name)?.[1] ?? -1);
      assert.ok(weight >= 0, tensor.name);
      if (tensor.dims.length === 2) {
        assert.deepEqual([...tensor.dims, tensor.dataType, tensor.length], [rows, columns, 3, rows * columns]);
        const first = new Int8Array(columns).fill(127);
        for (let row = 0; row < rows; ++row) {
          const codes = row === 0 ? first : codeRow(weight, row);
          expected.update(new Uint8Array(codes.buffer, codes.byteOffset, codes.byteLength));
        }
        nCodes += 1;
      } else if (tensor.dataType === 1) {
        assert.equal(tensor.length, columns * 4, tensor.name);
        expected.update(new Uint8Array(steps.buffer));
      } else {
        assert.deepEqual([tensor.dataType, tensor.length], [3, columns], tensor.name);
        expected.update(new Uint8Array(columns));
      }
    }
    expected.update(new Uint8Array(external - at));
    assert.equal(nCodes, nWeights);
    assert.equal(streamed.digest('hex'), expected.digest('hex'));
    assert.ok(peak <= 300e6 + 2 * weightBytes, `${peak} bytes of peak memory`);
  },
);
