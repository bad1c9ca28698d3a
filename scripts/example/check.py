"""Checks demo/example with onnxruntime: the ONNX file on the PNGs against expected.json, and onnxruntime's own static int8."""

import csv
import hashlib
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image

LOGIT_TOLERANCE = 1e-3


def read_folder(folder):
    """float32 [n, 3, 64, 64] in [-1, 1], and labels [n]."""
    with open(folder / "labels.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    pixels = np.stack([np.asarray(Image.open(folder / row["file"]).convert("RGB")) for row in rows])
    images = (pixels.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2)
    return np.ascontiguousarray(images), np.array([int(row["class_index"]) for row in rows])


class Samples(CalibrationDataReader):
    def __init__(self, images):
        self.feeds = iter([{"image": image[None]} for image in images])

    def get_next(self):
        return next(self.feeds, None)


def logits_of(model, images):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    whole = session.run(["logits"], {"image": images})[0]
    single = np.concatenate([session.run(["logits"], {"image": image[None]})[0] for image in images])
    assert np.abs(whole - single).max() < LOGIT_TOLERANCE or "int8" in str(model), "batch size changes the logits"
    return whole


def main():
    example = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parents[2] / "demo" / "example"
    expected = json.loads((example / "expected.json").read_text(encoding="utf-8"))
    model = example / expected["model"]
    assert hashlib.sha256(model.read_bytes()).hexdigest() == expected["model_sha256"], "model.onnx is not the one in expected.json"
    calibration, _ = read_folder(example / "images")
    images, labels = read_folder(example / "eval")

    logits = logits_of(model, images)
    n_correct = int((logits.argmax(1) == labels).sum())
    print(f"float: {n_correct}/{len(labels)} correct")
    assert logits.argmax(1).tolist() == expected["eval"]["top1"], "top-1 differs from what training saw"
    assert n_correct == expected["eval"]["n_correct"]
    difference = float(np.abs(logits[0] - np.array(expected["eval"]["first_logits"])).max())
    print(f"logits of the first picture: at most {difference:.1e} from training's")
    assert difference < LOGIT_TOLERANCE

    for per_channel in (False, True):
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "model_int8.onnx"
            quantize_static(str(model), str(output), Samples(calibration), quant_format=QuantFormat.QDQ, per_channel=per_channel,
                            activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8)
            int8 = logits_of(output, images)
            n_right = int((int8.argmax(1) == labels).sum())
            n_same = int((int8.argmax(1) == logits.argmax(1)).sum())
            sqnr = 10 * np.log10((logits**2).sum() / ((int8 - logits) ** 2).sum())
            print(f"onnxruntime static int8, {'per channel' if per_channel else 'per tensor'}: {n_right}/{len(labels)} correct, "
                  f"top-1 as float {n_same}/{len(labels)}, SQNR {sqnr:.1f} dB, {output.stat().st_size} bytes")


if __name__ == "__main__":
    main()
