"""Draws the pictures of the bundled example: road signs and digits, from random numbers alone.

`draw(seed, split, index)` always gives the same picture, whatever else was drawn before. No font, photograph or other
foreign data takes part: digits are strokes along arcs and lines, given below as points.
"""

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

SIDE = 64
OVERSAMPLE = 2
CLASS_NAMES = [f"digit_{d}" for d in range(10)] + ["no_entry", "yield", "warning", "priority", "arrow_left", "arrow_right"]

# Which stream of random numbers a picture comes from. No picture of one split can occur in another.
TRAIN, TEST, CALIBRATION, EVALUATION = range(4)


def arc(cx, cy, rx, ry, start, end):
    """Points of an elliptic arc. Degrees: 0 is right, 90 is down (y grows downwards)."""
    angles = np.radians(np.linspace(start, end, 2 + int(abs(end - start) / 15)))
    return np.stack([cx + rx * np.cos(angles), cy + ry * np.sin(angles)], axis=1)


def path(*parts):
    return np.concatenate([np.atleast_2d(np.asarray(part, dtype=np.float64)) for part in parts])


_SIX = [path((0.3, -0.58), (-0.05, -0.42), (-0.3, -0.1), (-0.38, 0.22)), arc(0, 0.25, 0.38, 0.35, 0, 360)]

# Strokes of the digits in a box of about [-0.45, 0.45] x [-0.62, 0.62].
DIGITS = [
    [arc(0, 0, 0.38, 0.6, 0, 360)],
    [path((-0.25, -0.35), (0.05, -0.6), (0.05, 0.6))],
    [path(arc(0, -0.25, 0.38, 0.35, 180, 385), (-0.4, 0.6), (0.42, 0.6))],
    [arc(0, -0.3, 0.36, 0.3, 200, 450), arc(0, 0.3, 0.4, 0.32, 270, 520)],
    [path((0.2, 0.6), (0.2, -0.6), (-0.42, 0.2), (0.45, 0.2))],
    [path((0.36, -0.6), (-0.3, -0.6), (-0.34, -0.05), arc(0, 0.22, 0.4, 0.38, 235, 500))],
    _SIX,
    [path((-0.4, -0.6), (0.4, -0.6), (-0.1, 0.6))],
    [arc(0, -0.3, 0.3, 0.3, 0, 360), arc(0, 0.3, 0.38, 0.32, 0, 360)],
    [-stroke for stroke in _SIX],
]

DISC = arc(0, 0, 1, 1, 0, 345)
OCTAGON = arc(0, 0, 1.05, 1.05, 22.5, 337.5)[::3]
SQUARE = path((-0.85, -0.9), (0.85, -0.9), (0.85, 0.9), (-0.85, 0.9))
TRIANGLE = path((0, -1), (1, 0.8), (-1, 0.8))
DIAMOND = path((0, -1.05), (1.05, 0), (0, 1.05), (-1.05, 0))


class Sign:
    """A canvas whose coordinates are the sign's own: the sign fills about [-1, 1] x [-1, 1]."""

    def __init__(self, image, rng):
        self.pen = ImageDraw.Draw(image)
        size = rng.uniform(16, 28) * OVERSAMPLE
        turn = np.radians(rng.uniform(-20, 20))
        shear = rng.uniform(-0.2, 0.2)
        stretch = rng.uniform(0.82, 1.2)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        self.matrix = size * rotation @ np.array([[stretch, shear], [0, 1 / stretch]])
        self.centre = OVERSAMPLE * (SIDE / 2 + rng.uniform(-6, 6, 2))
        self.size = size

    def place(self, points):
        return [tuple(p) for p in points @ self.matrix.T + self.centre]

    def fill(self, points, colour):
        self.pen.polygon(self.place(points), fill=colour)

    def stroke(self, points, width, colour):
        pixels = self.place(points)
        radius = max(1.0, width * self.size / 2)
        self.pen.line(pixels, fill=colour, width=max(2, round(2 * radius)), joint="curve")
        for x, y in (pixels[0], pixels[-1]):
            self.pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=colour)


def random_colour(rng, low=0, high=255):
    return tuple(int(c) for c in rng.integers(low, high + 1, 3))


def contrasting_pair(rng):
    """Two colours at least 75 of 255 apart in brightness."""
    while True:
        first, second = random_colour(rng), random_colour(rng)
        if abs(np.dot(np.subtract(first, second), (0.3, 0.59, 0.11))) >= 75:
            return first, second


def background(rng):
    side = SIDE * OVERSAMPLE
    tiles = rng.integers(20, 236, (4, 4, 3)).astype(np.uint8)
    image = Image.fromarray(tiles).resize((side, side), Image.Resampling.BILINEAR)
    pen = ImageDraw.Draw(image)
    for _ in range(rng.integers(0, 5)):
        ends = [tuple(p) for p in rng.uniform(0, side, (2, 2))]
        pen.line(ends, fill=random_colour(rng), width=int(rng.integers(2, 14)))
    return image


def draw_sign(image, label, rng):
    sign = Sign(image, rng)
    ink, plate = contrasting_pair(rng)
    rim = ink if rng.random() < 0.5 else random_colour(rng)
    name = CLASS_NAMES[label]
    outline = {"yield": -TRIANGLE, "warning": TRIANGLE, "priority": DIAMOND}.get(name)
    if outline is None:
        outline = (DISC, OCTAGON, SQUARE)[rng.integers(0, 3)]
    inner = rng.uniform(0.76, 0.92)
    width = rng.uniform(0.13, 0.24)
    sign.fill(outline, rim)
    sign.fill(outline * inner, plate)
    if label < 10:
        size = rng.uniform(0.85, 1.1)
        shift = rng.uniform(-0.12, 0.12, 2)
        for stroke in DIGITS[label]:
            sign.stroke(size * stroke + shift + rng.normal(0, 0.015, stroke.shape), width, ink)
    elif name == "no_entry":
        sign.stroke(path((-0.5, 0), (0.5, 0)), 1.6 * width, ink)
    elif name == "yield":
        sign.fill(-TRIANGLE * rng.uniform(0.3, 0.5), ink)
    elif name == "warning":
        sign.stroke(path((0, -0.3), (0, 0.2)), width, ink)
        sign.stroke(path((0, 0.5), (0, 0.52)), width, ink)
    elif name == "priority":
        sign.fill(DIAMOND * rng.uniform(0.4, 0.6), ink)
    else:
        flip = np.array([-1 if name == "arrow_left" else 1, 1])
        sign.stroke(path((-0.5, 0), (0.5, 0)) * flip, width, ink)
        sign.stroke(path((0.1, -0.4), (0.52, 0), (0.1, 0.4)) * flip, width, ink)


def occlude(image, rng):
    pen = ImageDraw.Draw(image)
    side = SIDE * OVERSAMPLE
    for _ in range(rng.choice(4, p=[0.35, 0.35, 0.2, 0.1])):
        x, y = rng.uniform(0.1, 0.9, 2) * side
        w, h = rng.uniform(4, 13, 2) * OVERSAMPLE
        box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        (pen.rectangle if rng.random() < 0.5 else pen.ellipse)(box, fill=random_colour(rng))


def expose(image, rng):
    """Blur, uneven light, weak contrast, noise, and a camera that keeps 5 bits per channel (so that the PNGs stay small)."""
    image = image.filter(ImageFilter.GaussianBlur(OVERSAMPLE * rng.uniform(0.0, 1.7))).reduce(OVERSAMPLE)
    pixels = np.asarray(image, dtype=np.float64)
    contrast = rng.uniform(0.45, 1.0)
    pixels = pixels.mean() + contrast * (pixels - pixels.mean())
    across, down = np.meshgrid(np.linspace(-1, 1, SIDE), np.linspace(-1, 1, SIDE))
    light = rng.uniform(0.65, 1.15) + rng.uniform(-0.3, 0.3) * across + rng.uniform(-0.3, 0.3) * down
    tint = rng.uniform(0.85, 1.15, 3)
    pixels = pixels * light[:, :, None] * tint
    pixels = pixels + rng.normal(0, 1, pixels.shape) * rng.uniform(1, 12)
    five_bits = np.clip(np.floor(pixels / 8), 0, 31).astype(np.uint8)
    return (five_bits << 3) | (five_bits >> 2)


def draw(seed, split, index):
    """One picture: uint8 [64, 64, 3] RGB, and its class. Classes take turns, so that any run of 16 pictures holds each."""
    rng = np.random.default_rng([seed, split, index])
    label = index % len(CLASS_NAMES)
    image = background(rng)
    draw_sign(image, label, rng)
    occlude(image, rng)
    return expose(image, rng), label


def draw_many(seed, split, count):
    """uint8 [count, 64, 64, 3] and int32 [count]."""
    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    labels = np.empty(count, np.int32)
    for index in range(count):
        images[index], labels[index] = draw(seed, split, index)
    return images, labels
