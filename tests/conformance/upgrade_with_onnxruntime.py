"""Upgrades one-node models with tests/tools/roundtrip, step by step, and compares outputs in onnxruntime, unoptimized.

    pip install onnx onnxruntime numpy
    python upgrade_with_onnxruntime.py ROUNDTRIP [TARGET ...]

Every operator whose meaning changed between opset 7 and 25 in each of its modes, with and without declared shapes.
Prints each case that differs, fails to load or is refused, and counts.
"""

import pathlib
import subprocess
import sys
import tempfile
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROUNDTRIP = sys.argv[1]
TARGETS = [int(target) for target in sys.argv[2:]] or [13, 21, 25]
F = np.float32
rng = np.random.RandomState(0)


def I(*shape):
    return rng.randn(*shape).astype(F)


C = []


def add(op, opset, ins, attrs={}, inits={}, nout=1, order=None):
    C.append((op, opset, ins, attrs, inits, nout, order))


x4 = I(2, 3, 4, 5)
add("BatchNormalization", 7, {"x": x4}, {"epsilon": 1e-3}, {"s": I(3), "b": I(3), "m": I(3), "v": np.abs(I(3))})
add("BatchNormalization", 7, {"x": x4}, {"spatial": 1}, {"s": I(3), "b": I(3), "m": I(3), "v": np.abs(I(3))})
add("BatchNormalization", 9, {"x": x4}, {}, {"s": I(3), "b": I(3), "m": I(3), "v": np.abs(I(3))})
for mode in ("nearest", "linear"):
    for sc in ([1, 1, 2, 3], [1, 1, 0.5, 0.6], [1, 1, 1, 1], [1, 1, 2, 0.5], [1, 1, 1.5, 2.3], [1, 1, 0.37, 0.81]):
        if min(sc) >= 1:
            add("Upsample", 7, {"x": x4}, {"mode": mode, "scales": [float(v) for v in sc]})
            add("Upsample", 9, {"x": x4}, {"mode": mode}, {"sc": np.array(sc, F)})
        add("Resize", 10, {"x": x4}, {"mode": mode}, {"sc": np.array(sc, F)})
add("Slice", 1, {"x": x4}, {"starts": [1, -3], "ends": [3, 2**31], "axes": [1, 3]})
C[-1] = ("Slice", 7) + C[-1][2:]
add("Slice", 9, {"x": x4}, {"starts": [0, 1, 0], "ends": [1, -1, 100]})
for o in (7, 9):
    add("TopK", o, {"x": I(3, 7)}, {"k": 3, "axis": -1}, nout=2)
    add("TopK", o, {"x": I(5, 3)}, {"k": 2, "axis": 0}, nout=2)
add("TopK", 10, {"x": I(3, 7)}, {}, {"k": np.array([3], np.int64)}, nout=2)
for o in (7, 10):
    add("Dropout", o, {"x": x4}, {"ratio": 0.3})
    add("Dropout", o, {"x": x4})
for o in (7, 10):
    for a in ({}, {"min": -0.5}, {"max": 0.5}, {"min": -0.2, "max": 0.4}):
        add("Clip", o, {"x": x4}, a)
        if o == 7:
            add("Clip", o, {"x": x4.astype(np.float16)}, a)
        add("Clip", o, {"x": x4.astype(np.float64)}, a)
for m in ("constant", "reflect", "edge"):
    for v in (0.0, 1.5):
        add("Pad", 7, {"x": x4}, {"pads": [0, 0, 1, 2, 0, 0, 1, 1], "mode": m, "value": v})
add("Pad", 7, {"x": x4.astype(np.float64)}, {"pads": [0, 0, -1, 2, 0, 0, 1, 1], "value": 2.0})
add("Scatter", 9, {"x": I(3, 3)}, {"axis": 1}, {"i": np.array([[0, 2], [1, 0]], np.int64), "u": I(2, 2)})
for op in ("Softmax", "LogSoftmax", "Hardmax"):
    for o in (7, 11, 12):
        for a in ({}, {"axis": 0}, {"axis": 1}, {"axis": 2}, {"axis": 3}) + (
            ({"axis": -1}, {"axis": -2}, {"axis": -4}) if o >= 11 else ()
        ):
            add(op, o, {"x": x4}, a)
            add(op, o, {"x": I(3, 4)}, a) if a.get("axis", 1) < 2 and a.get("axis", 1) >= -2 else 0
reds = [
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
]
for r in reds:
    for o in (7, 11, 12, 13, 17):
        if r == "ReduceSum" and o >= 13:
            continue
        for a in ({}, {"axes": [1]}, {"axes": [0, 2], "keepdims": 0}) + (({"axes": [-1]},) if o >= 11 else ()):
            add(r, o, {"x": np.abs(x4)}, a)
add("ReduceSum", 13, {"x": x4}, {}, {"a": np.array([1], np.int64)})
for o in (7, 11, 12):
    add("Split", o, {"x": I(2, 6)}, {"axis": 1}, nout=3)
    add("Split", o, {"x": I(2, 6)}, {"axis": 1, "split": [1, 5]}, nout=2)
    add("Split", o, {"x": I(6, 2)}, {}, nout=2)
    add("Squeeze", o, {"x": I(1, 3, 1)}, {"axes": [0]})
    add("Squeeze", o, {"x": I(1, 3, 1)})
    add("Unsqueeze", o, {"x": I(3, 2)}, {"axes": [0, 3]})
add("Split", 13, {"x": I(2, 6)}, {"axis": 1}, nout=3)
add("Split", 17, {"x": I(2, 6)}, {"axis": 1}, {"s": np.array([2, 4], np.int64)}, nout=2)
for mode in ("nearest", "linear", "cubic"):
    for ct in ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn"):
        for nm in (("round_prefer_floor", "round_prefer_ceil", "floor", "ceil") if mode == "nearest" else ("floor",)):
            for o in (11, 13, 18):
                for sc in ([1, 1, 2, 1.5], [1, 1, 0.5, 0.7]):
                    if o == 11:
                        add(
                            "Resize",
                            o,
                            {"x": x4},
                            {"mode": mode, "coordinate_transformation_mode": ct, "nearest_mode": nm},
                            {"roi": np.zeros(0, F), "sc": np.array(sc, F)},
                        )
                    else:
                        add(
                            "Resize",
                            o,
                            {"x": x4},
                            {"mode": mode, "coordinate_transformation_mode": ct, "nearest_mode": nm},
                            {"": None, "sc": np.array(sc, F)},
                        )
                    if o == 11:
                        add(
                            "Resize",
                            o,
                            {"x": x4},
                            {"mode": mode, "coordinate_transformation_mode": ct, "nearest_mode": nm},
                            {"roi": np.zeros(0, F), "sc": np.zeros(0, F), "sz": np.array([2, 3, 7, 3], np.int64)},
                        )
                    else:
                        add(
                            "Resize",
                            o,
                            {"x": x4},
                            {"mode": mode, "coordinate_transformation_mode": ct, "nearest_mode": nm},
                            {"": None, " ": None, "sz": np.array([2, 3, 7, 3], np.int64)},
                        )
for o in (7, 10, 11, 12, 19, 21):
    for op in ("AveragePool", "MaxPool"):
        for cm in ((0, 1) if o >= 10 else (0,)):
            for inc in ((0, 1) if op == "AveragePool" else (0,)):
                for pads in ([0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 0]):
                    for st in (1, 2, 3):
                        a = {"kernel_shape": [3, 3], "pads": pads, "strides": [st, st]}
                        if o >= 10:
                            a["ceil_mode"] = cm
                        if op == "AveragePool":
                            a["count_include_pad"] = inc
                        add(op, o, {"x": I(1, 2, 6, 7)}, a)
        for ap in ("SAME_UPPER", "SAME_LOWER", "VALID"):
            add(op, o, {"x": I(1, 2, 6, 7)}, {"kernel_shape": [2, 2], "auto_pad": ap, "strides": [2, 2]})
for o in (2, 11):
    add("LpPool", max(o, 7), {"x": I(1, 2, 6, 7)}, {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]})
for ap in ("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"):
    for o in (7, 11):
        add(
            "ConvTranspose",
            o,
            {"x": I(1, 2, 5, 5)},
            {"kernel_shape": [3, 3], "auto_pad": ap, "strides": [2, 2]},
            {"w": I(2, 3, 3, 3)},
        )
        add("Conv", o, {"x": I(1, 2, 6, 5)}, {"kernel_shape": [3, 3], "auto_pad": ap, "strides": [2, 2]}, {"w": I(3, 2, 3, 3)})
for o in (7, 11):
    add(
        "ConvTranspose",
        o,
        {"x": I(1, 2, 5, 5)},
        {"kernel_shape": [3, 3], "output_shape": [10, 10], "strides": [2, 2]},
        {"w": I(2, 3, 3, 3)},
    )
for o in (10,):
    for m in ("avg", "max"):
        add(
            "RoiAlign",
            o,
            {"x": I(1, 2, 8, 8)},
            {"output_height": 2, "output_width": 3, "sampling_ratio": 2, "mode": m, "spatial_scale": 0.5},
            {"r": np.array([[0, 0, 7, 7], [2, 1, 12, 9]], F), "bi": np.zeros(2, np.int64)},
        )
for m in ("bilinear", "nearest", "bicubic"):
    for pm in ("zeros", "border", "reflection"):
        add(
            "GridSample",
            16,
            {"x": I(1, 2, 5, 5)},
            {"mode": m, "padding_mode": pm},
            {"g": (rng.rand(1, 3, 4, 2) * 2.4 - 1.2).astype(F)},
        )
for ax in (None, 1, 2):
    add("DFT", 17, {"x": I(2, 8, 4, 1)}, {} if ax is None else {"axis": ax})
    add("DFT", 17, {"x": I(2, 8, 4, 1)}, {"axis": 1, "onesided": 1})
add("GroupNormalization", 18, {"x": I(2, 6, 3, 3)}, {"num_groups": 3, "epsilon": 1e-4}, {"s": I(3), "b": I(3)})
add("ArgMax", 7, {"x": x4}, {"axis": 1})
add("ArgMin", 11, {"x": x4}, {"axis": 2, "keepdims": 0})
for op, g in (("LSTM", 4), ("GRU", 3), ("RNN", 1)):
    add(op, 7, {"x": I(5, 2, 3)}, {"hidden_size": 4}, {"w": I(1, 4 * g, 3), "r": I(1, 4 * g, 4), "b": I(1, 8 * g)}, nout=2)
add("Flatten", 7, {"x": x4}, {"axis": 2})
add("Gemm", 7, {"x": I(3, 4)}, {"transB": 1}, {"w": I(5, 4), "c": I(5)})
add("Reshape", 7, {"x": x4}, {}, {"s": np.array([0, -1, 5], np.int64)})
add("Cast", 7, {"x": x4 * 10}, {"to": 6})
add("Cast", 9, {"x": x4 * 1000}, {"to": 7})
add("PRelu", 7, {"x": x4}, {}, {"s": I(3, 1, 1)})
add("DepthToSpace", 7, {"x": I(1, 8, 2, 3)}, {"blocksize": 2})
add("SpaceToDepth", 7, {"x": I(1, 2, 4, 6)}, {"blocksize": 2})
add("Shape", 7, {"x": x4})
add("LeakyRelu", 7, {"x": x4})
add("Expand", 8, {"x": I(3, 1)}, {}, {"s": np.array([2, 1, 4], np.int64)})
add("Gather", 7, {"x": x4}, {"axis": 1}, {"i": np.array([0, 2], np.int64)})
add("OneHot", 9, {"x": np.array([0, 2], np.int64)}, {}, {"d": np.array([3], np.int64), "v": np.array([0, 1], F)})
add("QuantizeLinear", 10, {"x": x4}, {}, {"s": np.array(0.1, F), "z": np.array(3, np.uint8)})
add("InstanceNormalization", 7, {"x": x4}, {}, {"s": I(3), "b": I(3)})
add("Where", 9, {"x": x4 > 0}, {}, {"a": I(5), "b": I(4, 1)})
add("Selu", 7, {"x": x4})
add("LRN", 7, {"x": x4}, {"size": 3})
add("Upsample", 8, {"x": I(2, 3, 4)}, {"scales": [1.0, 1.0, 2.0]})
add("Tile", 7, {"x": I(2, 3)}, {}, {"r": np.array([2, 2], np.int64)})
add("GlobalAveragePool", 7, {"x": x4})
add("Max", 7, {"x": x4}, {}, {"b": x4 * -1})
add("ThresholdedRelu", 10, {"x": x4})
add("Compress", 9, {"x": I(4, 3)}, {"axis": 0}, {"c": np.array([1, 0, 1, 1], bool)})
add("NonZero", 9, {"x": (x4 > 0)})
add("EyeLike", 9, {"x": I(3, 4)}, {"k": 1})

ELEMENT = {
    np.dtype(F): TensorProto.FLOAT,
    np.dtype(np.float16): TensorProto.FLOAT16,
    np.dtype(np.float64): TensorProto.DOUBLE,
    np.dtype(np.int64): TensorProto.INT64,
    np.dtype(bool): TensorProto.BOOL,
}


def build(case, has_shapes):
    op, opset, inputs, attributes, constants, n_outputs, _ = case
    names = list(inputs) + [name if value is not None else "" for name, value in constants.items()]
    outputs = [f"y{i}" for i in range(n_outputs)]
    values = [
        helper.make_tensor_value_info(name, ELEMENT[value.dtype], list(value.shape) if has_shapes else None)
        for name, value in inputs.items()
    ]
    tensors = [numpy_helper.from_array(value, name) for name, value in constants.items() if value is not None]
    if opset == 7 and has_shapes:  # IR 3 wants initializers among the inputs
        values += [helper.make_tensor_value_info(t.name, t.data_type, list(t.dims)) for t in tensors]
    node = helper.make_node(op, names, outputs, name="n", **attributes)
    graph = helper.make_graph([node], "g", values, [onnx.ValueInfoProto(name=output) for output in outputs], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=4 if opset > 7 else 3)


def run(model, feed):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(model, options).run(None, feed)


def is_close(a, b):
    return (
        a.shape == b.shape
        and a.dtype == b.dtype
        and np.allclose(a.astype(float), b.astype(float), rtol=1e-5, atol=1e-6, equal_nan=True)
    )


def main():
    counts, rows = Counter(), Counter()
    with tempfile.TemporaryDirectory() as folder:
        before, after = pathlib.Path(folder) / "before.onnx", pathlib.Path(folder) / "after.onnx"
        for case, has_shapes in [(case, has_shapes) for case in C for has_shapes in (True, False)]:
            bytes_before = build(case, has_shapes).SerializeToString()
            try:
                expected = run(bytes_before, case[2])
            except Exception:
                counts["no kernel before"] += 1
                continue
            before.write_bytes(bytes_before)
            for target in [target for target in TARGETS if target > case[1]]:
                tool = subprocess.run([ROUNDTRIP, before, after, "--opset", str(target)], capture_output=True, text=True)
                found, detail = "ok", ""
                if tool.returncode != 0:
                    found, detail = ("refused" if tool.returncode == 4 else "FAILED"), tool.stderr.strip()
                else:
                    try:
                        if not all(map(is_close, expected, run(after.read_bytes(), case[2]))):
                            found, detail = "DIFFERS", f"{case[1]} to {target} {case[3]}"
                    except Exception as error:
                        found, detail = "NOT LOADED", f"{case[1]} to {target} {error}"[:200]
                counts[found] += 1
                if found != "ok":
                    rows[found, case[0], detail] += 1
    for row, count in sorted(rows.items()):
        print(count, *row)
    print(dict(counts))


main()
