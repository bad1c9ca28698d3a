"""Runs models with tests/tools/run_model and with onnxruntime on the same inputs, and compares the outputs.

    pip install onnx onnxruntime numpy pillow
    python compare_with_onnxruntime.py RUN_MODEL SHARED [NAME ...]

RUN_MODEL is the native tool, SHARED the folder with models/ and data/. Each model gets one seeded input, and one real sample
where SHARED has some. Prints per model: the largest |a - b| over max |b| of any output; `ok` up to 1e-4. A model that is quantized
inside ends in codes, and sums in another order flip one in millions, which spreads: there the same top-1 and 25 dB are `ok`.
"""

import gzip
import pathlib
import subprocess
import sys
import tempfile
import wave

import numpy as np
import onnx
import onnxruntime
from onnx import numpy_helper

BOUND = 1e-4
RUN_MODEL = pathlib.Path(sys.argv[1])
SHARED = pathlib.Path(sys.argv[2])
DATA = SHARED / "data"
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


def image(path, size, crop=None):
    from PIL import Image

    picture = Image.open(path).convert("RGB")
    if crop:
        left, top = (picture.width - crop) // 2, (picture.height - crop) // 2
        picture = picture.crop((left, top, left + crop, top + crop))
    else:
        picture = picture.resize((size[1], size[0]), Image.BICUBIC)
    return np.asarray(picture, np.float32)


def proto(path):
    return numpy_helper.to_array(onnx.TensorProto.FromString(path.read_bytes()))


def nchw(array):
    return np.ascontiguousarray(array.transpose(2, 0, 1)[None].astype(np.float32))


def sound(name, n, start=16000):
    with wave.open(str(DATA / "audio" / name)) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), np.int16)
    return samples[start : start + n].astype(np.float32)


def imagenet():
    return sorted((DATA / "imagenet256" / "eval").glob("*.jp*g"))[7]


def mnist():
    with gzip.open(sorted((DATA / "mnist").glob("*images*"))[0]) as file:
        return [np.frombuffer(file.read()[16 : 16 + 784], np.uint8).astype(np.float32).reshape(1, 1, 28, 28)]


def cifar():
    record = np.fromfile(DATA / "cifar10" / "cifar10_test_1000.bin", np.uint8, 3073)
    return [record[1:].astype(np.float32).reshape(1, 3, 32, 32)]


def keyword():
    codes = np.fromfile(next((DATA / "kws").glob("*.bin")), np.int8, 490).astype(np.float32)
    return [((codes - 83) * 0.5847).astype(np.float32).reshape(1, 1, 49, 10)]


def magika():
    return [np.fromfile(next((DATA / "magika").glob("*.bin")), "<u2", 2048).astype(np.int32).reshape(1, 2048)]


def vad():
    state = np.zeros((2, 1, 128), np.float32)
    return [sound("silero_test.wav", 576)[None] / 32768, state, np.array(16000, np.int64)]


def spectrum():
    frame = sound("rnnoise_voice1.wav", 512) / 32768
    return [np.abs(np.fft.rfft(frame)).astype(np.float32).reshape(1, 1, 257), np.zeros((1, 2, 128, 2), np.float32)]


REAL = {
    "mobilenet_v2_1.0_224": lambda: [nchw(image(imagenet(), None, 224) / 127.5 - 1)],
    "squeezenet1_1": lambda: [nchw((image(imagenet(), None, 224) / 255 - MEAN) / STD)],
    "mobilenet_v2_qdq_244": lambda: [proto(DATA / "reference_vectors" / "mobilenet_v2_qdq_244" / "input_0.pb")],
    "mlperf_resnet8_cifar10": cifar,
    "mnist_cntk": mnist,
    "ultraface_rfb_320": lambda: [nchw((image(sorted((DATA / "faces").glob("*.jpg"))[0], (240, 320)) - 127) / 128)],
    "fastestdet": lambda: [nchw(image(sorted((DATA / "detection").glob("*.jpg"))[0], (352, 352))[:, :, ::-1] / 255)],
    "deeplabv3_mnv2_pascal_513": lambda: [nchw(image(next((DATA / "segmentation").glob("*bird*.bmp")), (513, 513)) / 127.5 - 1)],
    "mlperf_kws_dscnn": keyword,
    "magika_standard_v3_3": magika,
    "silero_vad": vad,
    "silero_vad_16k_op15": vad,
    "dtln_1": spectrum,
    "oww_melspectrogram": lambda: [sound("rnnoise_voice1.wav", 12640)[None]],
    "basic_pitch_nmp": lambda: [sound("silero_test.wav", 43844).reshape(1, -1, 1) / 32768],
}

# The step of the output's codes, for models that are quantized inside.
CODE_STEP = {"mobilenet_v2_qdq_244": 0.15309954}

# Extents where the model leaves them open, by input name.
OPEN = {"input": [1, 576], "state": [2, 1, 128], "x": [1, 3, 48, 192], "input_ids": [1, 24], "attention_mask": [1, 24]}
SPECIAL_OPEN = {"oww_melspectrogram": [1, 12640], "mobilenet_v2_1.0_224": [2, 3, 224, 224]}


def seeded(name, session):
    draw = np.random.default_rng(7)
    feeds = []
    for value in session.get_inputs():
        shape = value.shape
        if any(not isinstance(extent, int) for extent in shape):
            shape = SPECIAL_OPEN.get(name) or OPEN.get(value.name, shape)
            if len(shape) != len(value.shape):
                shape = value.shape
            shape = [extent if isinstance(extent, int) else 1 for extent in shape]
        if value.name == "sr":
            feeds.append(np.array(16000, np.int64))
        elif value.name == "attention_mask":
            feeds.append(np.ones(shape, np.int64))
        elif "int" in value.type:
            feeds.append(draw.integers(0, 200, shape).astype(np.int32 if "int32" in value.type else np.int64))
        else:
            scale = 1000 if name == "oww_melspectrogram" else 1
            feeds.append((draw.standard_normal(shape) * scale).astype(np.float32))
    return feeds


def worst_error(ours, theirs):
    if ours.shape != theirs.shape or ours.dtype != theirs.dtype:
        return f"{ours.dtype}{list(ours.shape)} for {theirs.dtype}{list(theirs.shape)}"
    if ours.size == 0:
        return 0.0
    scale = np.abs(theirs).max()
    return float(np.abs(ours.astype(np.float64) - theirs).max() / (scale if scale > 0 else 1.0))


def compare_codes(ours, theirs, step):
    error = ours.astype(np.float64) - theirs
    steps = np.rint(np.abs(error) / step)
    sqnr_db = 10 * np.log10(np.square(theirs.astype(np.float64)).sum() / max(np.square(error).sum(), 1e-30))
    is_ok = ours.argmax() == theirs.argmax() and sqnr_db >= 25
    shown = f"{int((steps > 0).sum())} of {steps.size} codes differ, by up to {int(steps.max())}, {sqnr_db:.1f} dB"
    return ("ok" if is_ok else "DIFFERS") + "\t" + shown


def compare(path, kind, arrays, session):
    feeds = dict(zip([value.name for value in session.get_inputs()], arrays))
    theirs = session.run(None, feeds)
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        files = []
        for i, array in enumerate(arrays):
            files.append(folder / f"input_{i}.pb")
            files[-1].write_bytes(numpy_helper.from_array(array).SerializeToString())
        done = subprocess.run([RUN_MODEL, path, "--out", folder / "out", *files], capture_output=True, text=True)
        if done.returncode != 0:
            return f"{path.stem}\t{kind}\tREFUSED\t{done.stderr.strip()}"
        errors = []
        for i, wanted in enumerate(theirs):
            ours = proto(folder / "out" / f"output_{i}.pb")
            if path.stem in CODE_STEP:
                return f"{path.stem}\t{kind}\t{compare_codes(ours, wanted, CODE_STEP[path.stem])}"
            errors.append(worst_error(ours, wanted))
    numbers = [error for error in errors if isinstance(error, float)]
    is_ok = len(numbers) == len(errors) and max(numbers) <= BOUND
    shown = " ".join(error if isinstance(error, str) else f"{error:.1e}" for error in errors)
    return f"{path.stem}\t{kind}\t{'ok' if is_ok else 'DIFFERS'}\t{shown}"


def main():
    onnxruntime.set_default_logger_severity(4)
    rows = []
    for path in sorted((SHARED / "models").rglob("*.onnx")):
        if path.parent.name == "malformed" or (len(sys.argv) > 3 and path.stem not in sys.argv[3:]):
            continue
        options = onnxruntime.SessionOptions()
        if path.stem == "mobilenet_v2_qdq_244":
            options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(path, options)
        rows.append(compare(path, "seeded", seeded(path.stem, session), session))
        print(rows[-1], flush=True)
        if path.stem in REAL:
            rows.append(compare(path, "real", REAL[path.stem](), session))
            print(rows[-1], flush=True)
    n_ok = sum("\tok\t" in row for row in rows)
    print(f"{len(rows)} comparisons, {n_ok} ok")


main()
