"""Draws the pictures, trains the network and writes demo/example. One core, under ten minutes; see demo/example/README.md."""

import argparse
import csv
import hashlib
import json
import os
import shutil
import time
from pathlib import Path

os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
os.environ["JAX_PLATFORMS"] = "cpu"

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image

import draw
import network

BATCH = 32
BN_MOMENTUM = 0.02
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 2e-4
LABEL_SMOOTHING = 0.05
SHIFT = 3
N_CALIBRATION = 48
N_EVALUATION = 96
N_TEST = 3200


def loss_of(parameters, statistics, images, labels):
    logits, seen = network.forward(parameters, statistics, images, training=True)
    n_classes = logits.shape[1]
    wanted = jax.nn.one_hot(labels, n_classes) * (1 - LABEL_SMOOTHING) + LABEL_SMOOTHING / n_classes
    return -(wanted * jax.nn.log_softmax(logits)).sum(1).mean(), seen


@jax.jit
def train_step(state, images, labels, rate):
    """One step of Adam (arXiv:1412.6980) with decoupled weight decay on the matrices."""
    parameters, statistics, first, second, step = state
    (loss, seen), gradients = jax.value_and_grad(loss_of, has_aux=True)(parameters, statistics, images, labels)
    step = step + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradients)
    second = jax.tree.map(lambda v, g: 0.99 * v + 0.01 * g * g, second, gradients)

    def update(p, m, v):
        direction = (m / (1 - 0.9**step)) / (jnp.sqrt(v / (1 - 0.99**step)) + 1e-8)
        return p - rate * direction - rate * WEIGHT_DECAY * p * (p.ndim > 1)

    parameters = jax.tree.map(update, parameters, first, second)
    statistics = jax.tree.map(lambda old, new: (1 - BN_MOMENTUM) * old + BN_MOMENTUM * new, statistics, seen)
    return (parameters, statistics, first, second, step), loss


def shifted(images, rng):
    """Each picture moved by up to SHIFT pixels; what leaves on one side returns on the other."""
    moves = rng.integers(-SHIFT, SHIFT + 1, (len(images), 2))
    return np.stack([np.roll(image, tuple(move), (0, 1)) for image, move in zip(images, moves)])


def train(seed, n_images, n_epochs):
    started = time.monotonic()
    images, labels = draw.draw_many(seed, draw.TRAIN, n_images)
    print(f"drew {n_images} pictures in {time.monotonic() - started:.0f} s", flush=True)
    parameters, statistics = network.initial_parameters(seed, len(draw.CLASS_NAMES))
    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (parameters, statistics, zeros, zeros, jnp.float32(0))
    rng = np.random.default_rng([seed, len(images)])
    per_epoch = n_images // BATCH
    n_steps = n_epochs * per_epoch
    for epoch in range(n_epochs):
        order = rng.permutation(n_images)
        total = 0.0
        for i in range(per_epoch):
            at = epoch * per_epoch + i
            rate = LEARNING_RATE * min(1.0, (at + 1) / 100) * 0.5 * (1 + np.cos(np.pi * at / n_steps))
            chosen = order[i * BATCH : (i + 1) * BATCH]
            state, loss = train_step(state, shifted(images[chosen], rng), labels[chosen], np.float32(rate))
            total += float(loss)
        print(f"epoch {epoch + 1}/{n_epochs}: loss {total / per_epoch:.4f}, {time.monotonic() - started:.0f} s", flush=True)
    return state[0], state[1]


def predict(parameters, statistics, images):
    run = jax.jit(lambda part: network.forward(parameters, statistics, part, training=False)[0])
    return np.concatenate([np.asarray(run(images[at : at + 32])) for at in range(0, len(images), 32)])


def write_folder(folder, seed, split, count):
    """The pictures as PNG and labels.csv (file,class_index,class_name). Returns them as drawn."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    images, labels = draw.draw_many(seed, split, count)
    with open(folder / "labels.csv", "w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["file", "class_index", "class_name"])
        for index, (image, label) in enumerate(zip(images, labels)):
            name = f"{index:03d}.png"
            Image.fromarray(image).save(folder / name, optimize=True)
            rows.writerow([name, label, draw.CLASS_NAMES[label]])
    return images, labels


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[2] / "demo" / "example")
    arguments.add_argument("--seed", type=int, default=2026)
    arguments.add_argument("--images", type=int, default=12000, help="training pictures")
    arguments.add_argument("--epochs", type=int, default=6)
    options = arguments.parse_args()

    parameters, statistics = train(options.seed, options.images, options.epochs)
    test_images, test_labels = draw.draw_many(options.seed, draw.TEST, N_TEST)
    test_accuracy = float((predict(parameters, statistics, test_images).argmax(1) == test_labels).mean())
    print(f"accuracy on {N_TEST} pictures that are not kept: {test_accuracy:.4f}")

    write_folder(options.out / "images", options.seed, draw.CALIBRATION, N_CALIBRATION)
    images, labels = write_folder(options.out / "eval", options.seed, draw.EVALUATION, N_EVALUATION)
    logits = predict(parameters, statistics, images)
    n_correct = int((logits.argmax(1) == labels).sum())
    print(f"accuracy on the {N_EVALUATION} evaluation pictures: {n_correct}/{N_EVALUATION} = {n_correct / N_EVALUATION:.4f}")

    data = network.to_onnx(parameters, statistics, draw.CLASS_NAMES, draw.SIDE).SerializeToString(deterministic=True)
    (options.out / "model.onnx").write_bytes(data)
    ordered = np.sort(logits, axis=1)
    expected = {
        "model": "model.onnx",
        "model_bytes": len(data),
        "model_sha256": hashlib.sha256(data).hexdigest(),
        "preprocess": "minus1_1",
        "color": "rgb",
        "class_names": draw.CLASS_NAMES,
        "test_accuracy": round(test_accuracy, 4),
        "eval": {
            "n_samples": N_EVALUATION,
            "n_correct": n_correct,
            "accuracy": round(n_correct / N_EVALUATION, 4),
            "least_margin": round(float((ordered[:, -1] - ordered[:, -2]).min()), 4),
            "top1": logits.argmax(1).tolist(),
            "first_logits": [round(float(value), 4) for value in logits[0]],
        },
    }
    (options.out / "expected.json").write_text(json.dumps(expected, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {options.out / 'model.onnx'}: {len(data)} bytes")


if __name__ == "__main__":
    main()
