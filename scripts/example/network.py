"""The example's network: inverted residual blocks (MobileNetV2, arXiv:1801.04381), forward in JAX and written as ONNX.

Batch normalization stays a node of its own behind each convolution, the clips of Relu6 have a hand-readable range, and the
late blocks use HardSwish: what a quantizer has to fold, fuse and cover is all there.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

BN_EPSILON = 1e-5
OPSET = 17
IR_VERSION = 8


class Conv(NamedTuple):
    """A convolution with its batch normalization and activation ('relu6', 'hard_swish' or None)."""

    name: str
    kind: str  # 'full' (3x3), 'depthwise' (3x3) or 'pointwise' (1x1)
    n_in: int
    n_out: int
    stride: int
    activation: str | None


class Block(NamedTuple):
    name: str
    convs: tuple[Conv, ...]
    residual: bool


def inverted_residual(name, n_in, n_out, expansion, stride, activation):
    n_mid = n_in * expansion
    convs = (
        Conv(f"{name}/expand", "pointwise", n_in, n_mid, 1, activation),
        Conv(f"{name}/depthwise", "depthwise", n_mid, n_mid, stride, activation),
        Conv(f"{name}/project", "pointwise", n_mid, n_out, 1, None),
    )
    return Block(name, convs[1:] if expansion == 1 else convs, stride == 1 and n_in == n_out)


BLOCKS = (
    Block("stem", (Conv("stem/conv", "full", 3, 16, 2, "relu6"),), False),
    inverted_residual("block1", 16, 12, 1, 1, "relu6"),
    inverted_residual("block2", 12, 20, 4, 2, "relu6"),
    inverted_residual("block3", 20, 20, 4, 1, "relu6"),
    inverted_residual("block4", 20, 32, 4, 2, "relu6"),
    inverted_residual("block5", 32, 32, 4, 1, "hard_swish"),
    inverted_residual("block6", 32, 44, 4, 2, "hard_swish"),
    inverted_residual("block7", 44, 44, 4, 1, "hard_swish"),
    Block("head", (Conv("head/conv", "pointwise", 44, 112, 1, "hard_swish"),), False),
)
CONVS = [conv for block in BLOCKS for conv in block.convs]
N_FEATURES = CONVS[-1].n_out


def initial_parameters(seed, n_classes):
    """Trained parameters and running statistics, by name. Weights: [3, 3, in, out], [3, 3, channels] or [in, out]."""
    rng = np.random.default_rng(seed)
    parameters, statistics = {}, {}
    for conv in CONVS:
        shape = {"full": (3, 3, conv.n_in, conv.n_out), "depthwise": (3, 3, conv.n_in), "pointwise": (conv.n_in, conv.n_out)}[conv.kind]
        fan_in = {"full": 9 * conv.n_in, "depthwise": 9, "pointwise": conv.n_in}[conv.kind]
        parameters[f"{conv.name}/weight"] = rng.normal(0, np.sqrt(2 / fan_in), shape)
        parameters[f"{conv.name}/scale"] = np.ones(conv.n_out)
        parameters[f"{conv.name}/bias"] = np.zeros(conv.n_out)
        statistics[f"{conv.name}/mean"] = np.zeros(conv.n_out)
        statistics[f"{conv.name}/variance"] = np.ones(conv.n_out)
    parameters["classifier/weight"] = rng.normal(0, np.sqrt(1 / N_FEATURES), (N_FEATURES, n_classes))
    parameters["classifier/bias"] = np.zeros(n_classes)
    as_float32 = lambda tree: {name: jnp.asarray(value, jnp.float32) for name, value in tree.items()}
    return as_float32(parameters), as_float32(statistics)


def taps(x, stride):
    """The nine shifted views [n, h/stride, w/stride, c] which a 3x3 window with padding 1 sees."""
    height, width = x.shape[1:3]
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, dy : dy + height : stride, dx : dx + width : stride, :] for dy in range(3) for dx in range(3)]


def column_means(x):
    """Mean over all but the last axis, as a matrix product (of four equal rows): XLA's own reduction is slower on CPUs."""
    rows = x.reshape(-1, x.shape[-1])
    return (jnp.full((4, rows.shape[0]), 1 / rows.shape[0], x.dtype) @ rows)[0]


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def depthwise(x, weight, stride):
    """3x3, padding 1: y[i, j] = sum of x[stride * i + dy - 1, stride * j + dx - 1] * weight[dy, dx], channel by channel."""
    return sum(view * weight[i // 3, i % 3] for i, view in enumerate(taps(x, stride)))


def depthwise_forward(x, weight, stride):
    return depthwise(x, weight, stride), (x, weight)


def depthwise_backward(stride, kept, gradient):
    """The gradients, written out because the derived ones take ten times as long on a CPU."""
    x, weight = kept
    n_positions = gradient.size // gradient.shape[-1]
    by_tap = [n_positions * column_means(view * gradient) for view in taps(x, stride)]
    if stride == 2:
        n, height, width, channels = gradient.shape
        zero = jnp.zeros_like(gradient)
        wide = jnp.stack([gradient, zero], axis=3).reshape(n, height, 2 * width, channels)
        gradient = jnp.stack([wide, jnp.zeros_like(wide)], axis=2).reshape(n, 2 * height, 2 * width, channels)
    return depthwise(gradient, weight[::-1, ::-1], 1), jnp.stack(by_tap).reshape(weight.shape)


depthwise.defvjp(depthwise_forward, depthwise_backward)


def convolve(x, weight, conv):
    if conv.kind == "pointwise":
        return x @ weight
    if conv.kind == "depthwise":
        return depthwise(x, weight, conv.stride)
    return jnp.concatenate(taps(x, conv.stride), axis=-1) @ weight.reshape(9 * conv.n_in, conv.n_out)


def activate(x, activation):
    if activation == "relu6":
        return jnp.clip(x, 0.0, 6.0)
    if activation == "hard_swish":
        return x * jnp.clip(x / 6.0 + 0.5, 0.0, 1.0)
    return x


def forward(parameters, statistics, images, training):
    """images: uint8 [n, 64, 64, 3]. Returns logits [n, classes], and mean and variance of the batch where training."""
    seen = {}
    x = images.astype(jnp.float32) / 127.5 - 1.0
    for block in BLOCKS:
        shortcut = x
        for conv in block.convs:
            x = convolve(x, parameters[f"{conv.name}/weight"], conv)
            mean, variance = statistics[f"{conv.name}/mean"], statistics[f"{conv.name}/variance"]
            if training:
                mean = column_means(x)
                variance = column_means((x - mean) ** 2)
                seen[f"{conv.name}/mean"], seen[f"{conv.name}/variance"] = mean, variance
            factor = parameters[f"{conv.name}/scale"] * jax.lax.rsqrt(variance + BN_EPSILON)
            x = activate((x - mean) * factor + parameters[f"{conv.name}/bias"], conv.activation)
        if block.residual:
            x = x + shortcut
    features = x.mean((1, 2))
    return features @ parameters["classifier/weight"] + parameters["classifier/bias"], seen


def onnx_weight(weight, kind):
    """To ONNX's [out, in / group, kernel, kernel]."""
    if kind == "full":
        return weight.transpose(3, 2, 0, 1)
    if kind == "depthwise":
        return weight.transpose(2, 0, 1)[:, None]
    return weight.T[:, :, None, None]


def to_onnx(parameters, statistics, class_names, side):
    """The network as an ONNX model: `image` float32 [N, 3, side, side] in [-1, 1], RGB, to `logits` [N, classes]."""
    nodes, initializers = [], []

    def constant(name, array):
        initializers.append(numpy_helper.from_array(np.ascontiguousarray(array, np.float32), name))
        return name

    def node(op_type, name, inputs, output=None, **attributes):
        output = output or f"{name}_output"
        nodes.append(helper.make_node(op_type, inputs, [output], name=name, **attributes))
        return output

    low, high = constant("relu6_min", np.float32(0)), constant("relu6_max", np.float32(6))
    x = "image"
    for block in BLOCKS:
        shortcut = x
        for conv in block.convs:
            kernel = 1 if conv.kind == "pointwise" else 3
            weight = onnx_weight(np.asarray(parameters[f"{conv.name}/weight"]), conv.kind)
            x = node("Conv", conv.name, [x, constant(f"{conv.name}/weight", weight)],
                     group=conv.n_in if conv.kind == "depthwise" else 1, kernel_shape=[kernel] * 2,
                     pads=[kernel // 2] * 4, strides=[conv.stride] * 2)
            values = [constant(f"{conv.name}/bn_{key}", source[f"{conv.name}/{key}"])
                      for source, key in ((parameters, "scale"), (parameters, "bias"), (statistics, "mean"), (statistics, "variance"))]
            x = node("BatchNormalization", f"{conv.name}/bn", [x, *values], epsilon=BN_EPSILON)
            if conv.activation == "relu6":
                x = node("Clip", f"{conv.name}/relu6", [x, low, high])
            elif conv.activation == "hard_swish":
                x = node("HardSwish", f"{conv.name}/hard_swish", [x])
        if block.residual:
            x = node("Add", f"{block.name}/add", [x, shortcut])
    x = node("GlobalAveragePool", "head/pool", [x])
    x = node("Flatten", "head/flatten", [x], axis=1)
    x = node("Gemm", "classifier", [x, constant("classifier/weight", np.asarray(parameters["classifier/weight"]).T),
                                    constant("classifier/bias", parameters["classifier/bias"])], output="logits", transB=1)

    graph = helper.make_graph(
        nodes, "bitwright_example",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, side, side])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", len(class_names)])], initializers)
    model = helper.make_model(graph, producer_name="bitwright-example", ir_version=IR_VERSION,
                              opset_imports=[helper.make_opsetid("", OPSET)])
    helper.set_model_props(model, {
        "classes": ",".join(class_names), "preprocess": "minus1_1", "color": "rgb", "license": "Apache-2.0"})
    onnx.checker.check_model(model, full_check=True)
    return model
