"""Small pictures that tests draw."""

import pathlib

import numpy as np
from PIL import Image


def draw_pictures(folder: pathlib.Path, count: int = 2) -> pathlib.Path:
    """Small pictures to validate on, so that a validation takes no time."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        coarse = np.random.default_rng(number).integers(0, 256, (8, 9, 3), np.uint8)
        Image.fromarray(coarse.repeat(8, 0).repeat(8, 1)).save(folder / f"{number}.png")
    return folder
