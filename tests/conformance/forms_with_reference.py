#!/usr/bin/env python3
"""Weights in forms that onnxruntime has no kernel for (f4e2m1 codes, e8m0 scales), run by onnx's reference evaluator.

    forms_with_reference.py APPLY_PASS RUN_MODEL [SCHEME...]

A small product is stored by each named scheme (mxfp4, nvfp4, mxfp8, mxfp8_e5m2, mxint8 where none is given) with
build/native/apply_pass, checked by onnx.checker, run by onnx.reference and by build/native/run_model. Prints for each scheme the
SQNR of our output to the reference's, which must pass 60 dB, and that of both to float, which tells what the scheme costs.
Exit code 1 where one misses it. Needs onnx, numpy.
"""
import os
import subprocess
import sys
import tempfile

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

MIN_SQNR_DB = 60.0  # the order of float sums
ROWS, COLUMNS = 128, 48


def sqnr(reference, value):
    noise = np.sum((reference.astype(np.float64) - value)**2)
    return np.inf if noise == 0 else 10 * np.log10(np.sum(reference.astype(np.float64)**2) / noise)


def main():
    tool, runner = sys.argv[1:3]
    schemes = sys.argv[3:] or ['mxfp4', 'nvfp4', 'mxfp8', 'mxfp8_e5m2', 'mxint8']
    generator = np.random.default_rng(5)
    weight = generator.normal(size=(ROWS, COLUMNS)).astype(np.float32)
    x = generator.normal(size=(4, ROWS)).astype(np.float32)
    graph = helper.make_graph([helper.make_node('MatMul', ['x', 'w'], ['y'], name='product')], 'product',
                              [helper.make_tensor_value_info('x', onnx.TensorProto.FLOAT, x.shape)],
                              [helper.make_tensor_value_info('y', onnx.TensorProto.FLOAT, (4, COLUMNS))],
                              [numpy_helper.from_array(weight, 'w')])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 24)], ir_version=12)
    is_good = True
    with tempfile.TemporaryDirectory() as folder:
        source, stored, feed = (os.path.join(folder, name) for name in ('float.onnx', 'stored.onnx', 'input_0.pb'))
        onnx.save(model, source)
        with open(feed, 'wb') as file:
            file.write(numpy_helper.from_array(x, 'x').SerializeToString())
        for scheme in schemes:
            subprocess.run([tool, 'scheme:' + scheme, source, stored], check=True, capture_output=True)
            onnx.checker.check_model(onnx.load(stored), full_check=True)
            theirs = ReferenceEvaluator(onnx.load(stored)).run(None, {'x': x})[0]
            out = os.path.join(folder, 'out')
            os.makedirs(out, exist_ok=True)
            subprocess.run([runner, stored, '--out', out, feed], check=True, capture_output=True)
            with open(os.path.join(out, 'output_0.pb'), 'rb') as file:
                ours = numpy_helper.to_array(onnx.TensorProto.FromString(file.read()))
            same, cost = sqnr(theirs, ours), sqnr(x @ weight, theirs)
            types = sorted({onnx.TensorProto.DataType.Name(item.data_type) for item in onnx.load(stored).graph.initializer})
            print('%-10s ours to the reference %6.1f dB, reference to float %5.1f dB, %d bytes of %d, %s' %
                  (scheme, same, cost, os.path.getsize(stored), os.path.getsize(source), ' '.join(types)))
            is_good = is_good and same > MIN_SQNR_DB and cost > 10
    return 0 if is_good else 1


sys.exit(main())
