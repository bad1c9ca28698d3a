#!/usr/bin/env python3
"""Converts quantized models and compares what onnxruntime makes of them before and after.

    convert_with_onnxruntime.py APPLY_PASS PATH... [--keep DIR]

PATH: .onnx files or folders of them; models without quantized operators are skipped. Each is converted to float
(dequantize), to QDQ and to QOperator form by build/native/apply_pass, and run by onnxruntime with graph optimizations off on
seeded random input. A line for each model and form: what changed, and the SQNR of the outputs against those of the original.
Forms must be exact or above 60 dB but for a last-bit difference in codes (counted as 'near': below 1 % of elements, one code
apart); dequantize shows the cost of the original's quantization, which is no error of ours.
Needs onnx, onnxruntime, numpy.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import onnxruntime as ort

QUANTIZED = ('QLinear', 'QGemm', 'MatMulInteger', 'ConvInteger', 'MatMulNBits', 'MatMulBnb4', 'GatherBlockQuantized',
             'DequantizeLinear', 'DynamicQuantize')
TYPES = {'tensor(float)': np.float32, 'tensor(uint8)': np.uint8, 'tensor(int8)': np.int8, 'tensor(int64)': np.int64,
         'tensor(int32)': np.int32, 'tensor(float16)': np.float16, 'tensor(bool)': np.bool_}


def session(path, is_optimized=False):
    options = ort.SessionOptions()
    if not is_optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return ort.InferenceSession(path, options, providers=['CPUExecutionProvider'])


def feeds(run, generator):
    result = {}
    for item in run.get_inputs():
        shape = [d if isinstance(d, int) and d > 0 else 1 for d in item.shape]
        kind = TYPES[item.type]
        if kind in (np.float32, np.float16):
            result[item.name] = generator.normal(size=shape).astype(kind)
        elif kind is np.bool_:
            result[item.name] = generator.integers(0, 2, shape).astype(kind)
        else:
            result[item.name] = generator.integers(0, 2 if kind in (np.int64, np.int32) else 100, shape).astype(kind)
    return result


def sqnr(reference, value):
    reference, value = np.asarray(reference, np.float64), np.asarray(value, np.float64)
    if reference.shape != value.shape:
        return 'shape %s, not %s' % (value.shape, reference.shape)
    noise = np.sum((reference - value)**2)
    if noise == 0:
        return 'exact'
    steps = np.unique(np.abs(reference - value))
    share = np.mean(reference != value)
    text = '%.1f dB' % (10 * np.log10(np.sum(reference**2) / noise)) if np.any(reference) else 'noise only'
    return text + (' near' if share < 0.01 or (len(steps) == 2 and steps[0] == 0 and share < 0.05) else '')


def main():
    arguments = sys.argv[1:]
    keep = None
    if '--keep' in arguments:
        at = arguments.index('--keep')
        keep = arguments[at + 1]
        del arguments[at:at + 2]
    tool, paths = arguments[0], []
    for path in arguments[1:]:
        if os.path.isdir(path):
            paths += [os.path.join(d, f) for d, _, files in os.walk(path) for f in sorted(files) if f.endswith('.onnx')]
        else:
            paths.append(path)
    counts = {}
    for path in sorted(paths):
        try:
            model = onnx.load(path, load_external_data=False)
        except Exception:
            continue
        if not any(node.op_type.startswith(QUANTIZED) for node in model.graph.node):
            continue
        name = os.path.basename(path)
        try:
            original = session(path)
            given = feeds(original, np.random.default_rng(7))
            before = original.run(None, given)
            fused = session(path, True).run(None, given)  # computed on codes, where onnxruntime fuses
        except Exception as error:
            print('%s: onnxruntime cannot run the original: %s' % (name, str(error).split('\n')[0][:100]))
            continue
        for form in ('dequantize', 'qdq', 'qoperator'):
            out = os.path.join(keep or tempfile.gettempdir(), 'converted_%d_%s_%s' % (os.getpid(), form, name))
            run = subprocess.run([tool, form, path, out], capture_output=True, text=True)
            if run.returncode != 0:
                verdict = 'FAILED: ' + run.stderr.strip()
            else:
                try:
                    after = session(out).run(None, given)
                    verdict = ', '.join(sqnr(a, b) for a, b in zip(before, after))
                    if form == 'qoperator' and 'exact' not in verdict:
                        verdict += ', to the original optimized: ' + ', '.join(sqnr(a, b) for a, b in zip(fused, after))
                except Exception as error:
                    verdict = 'FAILED in onnxruntime: ' + str(error).replace('\n', ' ')[:200]
                if not keep:
                    os.unlink(out)
            kind = 'failed' if 'FAILED' in verdict or 'shape' in verdict else 'done'
            counts[(form, kind)] = counts.get((form, kind), 0) + 1
            print('%s: %s: %s | %s' % (name, form, verdict, '; '.join(run.stdout.strip().split('\n'))[:160]))
    print(counts)


main()
