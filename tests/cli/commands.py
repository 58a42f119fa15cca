"""Helpers to call the commands in tests."""

from PIL import Image

from blindsr_jax.cli import main


def restore(place, *arguments):
    return main(["restore", "--model", str(place / "tiny.safetensors"), *map(str, arguments)])


def size(path):
    with Image.open(path) as image:
        return image.size


def evaluate(place, *arguments, output="report", model="tiny.safetensors"):
    options = ["--model", model if "+" in str(model) else place / model, "-o", place / output]
    return main(["evaluate", *map(str, [*options, *arguments])])
