"""Writes a .tflite file of the same network as a QDQ file of ours, for tests/bench/litert.bench.mjs: the same codes of the weights
(int8, per channel), the same scales; activations int8 in place of uint8 (all codes 128 less), float ends.

    pip install onnx numpy flatbuffers tflite
    python3 tests/bench/tflite_from_qdq.py MODEL_quantized.onnx OUT.tflite

Knows what MobileNetV2 consists of: Conv (also depthwise) with or without Clip, Add, GlobalAveragePool, Flatten, Gemm.
"""
import sys

import flatbuffers
import numpy as np
import onnx
import tflite
from onnx import helper, numpy_helper


# Of operators on int8, per channel.
VERSIONS = {
    tflite.BuiltinOperator.CONV_2D: 3,
    tflite.BuiltinOperator.DEPTHWISE_CONV_2D: 3,
    tflite.BuiltinOperator.ADD: 2,
    tflite.BuiltinOperator.MEAN: 2,
    tflite.BuiltinOperator.FULLY_CONNECTED: 4,
    tflite.BuiltinOperator.DEQUANTIZE: 2,
}


class Writer:
    def __init__(self):
        self.builder = flatbuffers.Builder(1 << 20)
        self.buffers = [b""]
        self.tensors = []  # (name, shape, type, buffer, scales, zero points, axis)
        self.operators = []  # (code, inputs, outputs, options type, write options)
        self.codes = []

    def tensor(self, name, shape, kind, data=None, scales=(), zeros=(), axis=0):
        buffer = 0
        if data is not None:
            self.buffers.append(np.ascontiguousarray(data).tobytes())
            buffer = len(self.buffers) - 1
        self.tensors.append((name, [int(n) for n in shape], kind, buffer, list(scales), list(zeros), axis))
        return len(self.tensors) - 1

    def operator(self, code, inputs, outputs, kind=0, options=None):
        if code not in self.codes:
            self.codes.append(code)
        self.operators.append((self.codes.index(code), inputs, outputs, kind, options))

    def numbers(self, values, dtype=np.int32):
        return self.builder.CreateNumpyVector(np.asarray(values, dtype))

    def offsets(self, start, values):
        start(self.builder, len(values))
        for value in reversed(values):
            self.builder.PrependUOffsetTRelative(value)
        return self.builder.EndVector()

    def finish(self, inputs, outputs):
        b = self.builder
        buffers = []
        for data in self.buffers:
            at = None
            if data:  # aligned as runtimes want constants
                b.StartVector(1, len(data), 16)
                b.head -= len(data)
                b.Bytes[b.head : b.head + len(data)] = data
                at = b.EndVector()
            tflite.BufferStart(b)
            if at is not None:
                tflite.BufferAddData(b, at)
            buffers.append(tflite.BufferEnd(b))
        tensors = []
        for name, shape, kind, buffer, scales, zeros, axis in self.tensors:
            name_at, shape_at, quantization = b.CreateString(name), self.numbers(shape), None
            if scales:
                scale_at, zero_at = self.numbers(scales, np.float32), self.numbers(zeros, np.int64)
                tflite.QuantizationParametersStart(b)
                tflite.QuantizationParametersAddScale(b, scale_at)
                tflite.QuantizationParametersAddZeroPoint(b, zero_at)
                tflite.QuantizationParametersAddQuantizedDimension(b, axis)
                quantization = tflite.QuantizationParametersEnd(b)
            tflite.TensorStart(b)
            tflite.TensorAddShape(b, shape_at)
            tflite.TensorAddType(b, kind)
            tflite.TensorAddBuffer(b, buffer)
            tflite.TensorAddName(b, name_at)
            if quantization is not None:
                tflite.TensorAddQuantization(b, quantization)
            tensors.append(tflite.TensorEnd(b))
        operators = []
        for code, ins, outs, kind, options in self.operators:
            ins_at, outs_at = self.numbers(ins), self.numbers(outs)
            options_at = options(b) if options else None
            tflite.OperatorStart(b)
            tflite.OperatorAddOpcodeIndex(b, code)
            tflite.OperatorAddInputs(b, ins_at)
            tflite.OperatorAddOutputs(b, outs_at)
            if options_at is not None:
                tflite.OperatorAddBuiltinOptionsType(b, kind)
                tflite.OperatorAddBuiltinOptions(b, options_at)
            operators.append(tflite.OperatorEnd(b))
        codes = []
        for code in self.codes:
            tflite.OperatorCodeStart(b)
            tflite.OperatorCodeAddDeprecatedBuiltinCode(b, min(code, 127))
            tflite.OperatorCodeAddVersion(b, VERSIONS.get(code, 1))
            tflite.OperatorCodeAddBuiltinCode(b, code)
            codes.append(tflite.OperatorCodeEnd(b))
        tensors_at = self.offsets(tflite.SubGraphStartTensorsVector, tensors)
        operators_at = self.offsets(tflite.SubGraphStartOperatorsVector, operators)
        inputs_at, outputs_at, name_at = self.numbers(inputs), self.numbers(outputs), b.CreateString("main")
        tflite.SubGraphStart(b)
        tflite.SubGraphAddTensors(b, tensors_at)
        tflite.SubGraphAddInputs(b, inputs_at)
        tflite.SubGraphAddOutputs(b, outputs_at)
        tflite.SubGraphAddOperators(b, operators_at)
        tflite.SubGraphAddName(b, name_at)
        graphs_at = self.offsets(tflite.ModelStartSubgraphsVector, [tflite.SubGraphEnd(b)])
        codes_at = self.offsets(tflite.ModelStartOperatorCodesVector, codes)
        buffers_at = self.offsets(tflite.ModelStartBuffersVector, buffers)
        tflite.ModelStart(b)
        tflite.ModelAddVersion(b, 3)
        tflite.ModelAddOperatorCodes(b, codes_at)
        tflite.ModelAddSubgraphs(b, graphs_at)
        tflite.ModelAddBuffers(b, buffers_at)
        b.Finish(tflite.ModelEnd(b), b"TFL3")
        return bytes(b.Output())


class Converter:
    def __init__(self, model, output_scale):
        self.graph = model.graph
        self.constants = {i.name: numpy_helper.to_array(i) for i in self.graph.initializer}
        self.maker = {output: node for node in self.graph.node for output in node.output}
        self.users = {}
        for node in self.graph.node:
            for name in node.input:
                self.users.setdefault(name, []).append(node)
        self.output_scale = output_scale
        self.writer = Writer()
        self.shapes = {}  # of values, channels last
        self.index = {}  # of values in int8: the tensors

    def quantization(self, value):
        """Scale and zero point (of int8) that the value is quantized with, and the name of its dequantized twin."""
        (quantize,) = [node for node in self.users[value] if node.op_type == "QuantizeLinear"]
        (dequantize,) = self.users[quantize.output[0]]
        scale, zero = self.constants[quantize.input[1]], self.constants[quantize.input[2]]
        assert zero.dtype == np.uint8
        return float(scale), int(zero) - 128, dequantize.output[0]

    def add_value(self, value, shape):
        scale, zero, twin = self.quantization(value)
        self.shapes[twin] = shape
        self.index[twin] = self.writer.tensor(value, shape, tflite.TensorType.INT8, None, [scale], [zero])
        return self.index[twin]

    def constant(self, name):
        """Codes, scales of a constant behind DequantizeLinear."""
        node = self.maker[name]
        return self.constants[node.input[0]], np.atleast_1d(self.constants[node.input[1]])

    def run(self):
        w, t = self.writer, tflite
        source = self.graph.input[0]
        n, c, h, width = [d.dim_value or 1 for d in source.type.tensor_type.shape.dim]
        given = w.tensor("input", [n, h, width, c], t.TensorType.FLOAT32)
        w.operator(t.BuiltinOperator.QUANTIZE, [given], [self.add_value(source.name, [n, h, width, c])])
        out = None
        for node in self.graph.node:
            if node.op_type == "Conv":
                self.conv(node)
            elif node.op_type == "Add":
                ins = [self.index[name] for name in node.input]
                to = self.add_value(node.output[0], self.shapes[node.input[0]])
                w.operator(t.BuiltinOperator.ADD, ins, [to], t.BuiltinOptions.AddOptions, none_options("Add"))
            elif node.op_type == "GlobalAveragePool":
                n, _, _, c = self.shapes[node.input[0]]
                axes = w.tensor("axes", [2], t.TensorType.INT32, np.array([1, 2], np.int32))
                to = self.add_value(node.output[0], [n, 1, 1, c])

                def keep(b):
                    t.ReducerOptionsStart(b)
                    t.ReducerOptionsAddKeepDims(b, True)
                    return t.ReducerOptionsEnd(b)

                w.operator(t.BuiltinOperator.MEAN, [self.index[node.input[0]], axes], [to], t.BuiltinOptions.ReducerOptions, keep)
            elif node.op_type == "Flatten":
                n, _, _, c = self.shapes[node.input[0]]
                shape = w.tensor("shape", [2], t.TensorType.INT32, np.array([n, c], np.int32))
                to = self.add_value(node.output[0], [n, c])
                w.operator(t.BuiltinOperator.RESHAPE, [self.index[node.input[0]], shape], [to])
            elif node.op_type == "Gemm":
                weights, scales = self.constant(node.input[1])
                bias, bias_scales = self.constant(node.input[2])
                units = weights.shape[0]
                zeros = [0] * len(scales)
                ins = [
                    self.index[node.input[0]],
                    w.tensor("weights", weights.shape, t.TensorType.INT8, weights, scales, zeros),
                    w.tensor("bias", [units], t.TensorType.INT32, bias, bias_scales, zeros),
                ]
                codes = w.tensor("logits_codes", [1, units], t.TensorType.INT8, None, [self.output_scale], [0])
                w.operator(
                    t.BuiltinOperator.FULLY_CONNECTED, ins, [codes], t.BuiltinOptions.FullyConnectedOptions, none_options("FullyConnected")
                )
                out = w.tensor("logits", [1, units], t.TensorType.FLOAT32)
                w.operator(t.BuiltinOperator.DEQUANTIZE, [codes], [out])
            elif node.op_type not in ("QuantizeLinear", "DequantizeLinear", "Clip"):
                raise SystemExit(f"{node.op_type} is not known here")
        return w.finish([given], [out])

    def conv(self, node):
        w, t = self.writer, tflite
        a = {x.name: helper.get_attribute_value(x) for x in node.attribute}
        weights, scales = self.constant(node.input[1])
        bias, bias_scales = self.constant(node.input[2])
        n, h, width, c = self.shapes[node.input[0]]
        stride, group, units = a["strides"][0], a.get("group", 1), weights.shape[0]
        is_same = sum(a["pads"]) > 0
        to_shape = [n, -(-h // stride), -(-width // stride), units]
        kernel = a["kernel_shape"][0]
        total = max((to_shape[1] - 1) * stride + kernel - h, 0)
        assert list(a["pads"]) == [total // 2, total // 2, total - total // 2, total - total // 2], a
        value, activation = node.output[0], 0
        after = self.users[value][0]
        if after.op_type == "Clip":
            assert [float(self.constants[x]) for x in after.input[1:]] == [0.0, 6.0]
            value, activation = after.output[0], t.ActivationFunctionType.RELU6
        to = self.add_value(value, to_shape)
        zeros = [0] * len(scales)
        is_depthwise = group > 1
        assert group in (1, c)
        order = weights.transpose(1, 2, 3, 0) if is_depthwise else weights.transpose(0, 2, 3, 1)
        ins = [
            self.index[node.input[0]],
            w.tensor(node.input[1], order.shape, t.TensorType.INT8, order, scales, zeros, 3 if is_depthwise else 0),
            w.tensor(node.input[2], [units], t.TensorType.INT32, bias, bias_scales, zeros),
        ]
        padding = t.Padding.SAME if is_same else t.Padding.VALID
        name = "DepthwiseConv2D" if is_depthwise else "Conv2D"

        def options(b):
            field = lambda what: getattr(t, f"{name}Options{what}")
            field("Start")(b)
            field("AddPadding")(b, padding)
            field("AddStrideW")(b, stride)
            field("AddStrideH")(b, stride)
            field("AddFusedActivationFunction")(b, activation)
            if is_depthwise:
                field("AddDepthMultiplier")(b, 1)
            return field("End")(b)

        code = t.BuiltinOperator.DEPTHWISE_CONV_2D if is_depthwise else t.BuiltinOperator.CONV_2D
        w.operator(code, ins, [to], getattr(t.BuiltinOptions, f"{name}Options"), options)


def none_options(name):
    def write(b):
        getattr(tflite, f"{name}OptionsStart")(b)
        return getattr(tflite, f"{name}OptionsEnd")(b)

    return write


if __name__ == "__main__":
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    # Our logits stay float; LiteRT's fully connected layer gives codes: 0.2 a step reaches to 25.
    data = Converter(onnx.load(sys.argv[1]), 0.2).run()
    with open(sys.argv[2], "wb") as file:
        file.write(data)
    print(f"{len(data)} bytes")
