"""Writes a .tflite file of one fully connected layer with int4 weights, a scale for each row, and float ends, for
tests/bench/litert-int4.bench.mjs.

    pip install onnx numpy flatbuffers tflite
    python3 tests/bench/tflite_int4.py CODES SCALES M N K OUT.tflite

CODES: N x K codes of 4 bits, two in a byte, zero at 8; SCALES: N floats.
"""
import sys

import numpy as np
import tflite
from tflite_from_qdq import VERSIONS, Writer, none_options

INT4 = 17  # of schema.fbs; older tflite packages do not name it


def main(codes_path, scales_path, m, n, k, out_path):
    VERSIONS[tflite.BuiltinOperator.FULLY_CONNECTED] = 12
    codes = np.fromfile(codes_path, np.uint8) ^ 0x88  # two's complement
    scales = np.fromfile(scales_path, np.float32)
    assert codes.size == n * k // 2 and scales.size == n
    writer = Writer()
    x = writer.tensor("x", [m, k], tflite.TensorType.FLOAT32)
    weights = writer.tensor("w", [n, k], INT4, codes, scales, [0] * n, 0)
    y = writer.tensor("y", [m, n], tflite.TensorType.FLOAT32)
    writer.operator(
        tflite.BuiltinOperator.FULLY_CONNECTED, [x, weights, -1], [y], tflite.BuiltinOptions.FullyConnectedOptions, none_options("FullyConnected")
    )
    with open(out_path, "wb") as file:
        file.write(writer.finish([x], [y]))


if __name__ == "__main__":
    if len(sys.argv) != 7:
        raise SystemExit(__doc__)
    main(sys.argv[1], sys.argv[2], *[int(text) for text in sys.argv[3:6]], sys.argv[6])
