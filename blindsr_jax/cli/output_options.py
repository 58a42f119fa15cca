"""Options of ``blindsr restore`` for reading and writing files."""

from __future__ import annotations

import argparse
import pathlib

from blindsr_jax.cli.arguments import Choices, natural, positive
from blindsr_jax.errors import UsageError

_FORMAT = "format of outputs in a folder: %(choices)s; default: the input's. A single output's name sets its format"
_QUALITY = "quality of jpg, webp and avif, 1 to 100; default: 95, for avif 85"
_DEPTH = "bits of each channel; avif stores 12 of 16; default: the input's, if the format supports it"
_LIMIT = "refuse inputs with more pixels, which may be decompression bombs; 0: no limit; default: 90 million"
_PAGE = "page of a TIFF or frame of an animation, from 1; without it, files that have several are refused"
_STRIP = "keep only the colour profile of the input's metadata: no EXIF, XMP or IPTC"
_COMPARE = "write a picture that compares before and after beside each output (.compare.jpg)"


def _formats() -> list[str]:
    from blindsr_jax.images.formats import FORMATS

    return list(dict.fromkeys(form.name for form in FORMATS.values()))


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    command = parser.add_argument_group("outputs")
    command.add_argument("--format", choices=Choices(_formats), metavar="FORMAT", help=_FORMAT)
    command.add_argument("--quality", type=_quality, metavar="N", help=_QUALITY)
    command.add_argument("--depth", type=int, choices=[8, 16], help=_DEPTH)
    command.add_argument("--compare", action="store_true", help=_COMPARE)
    command.add_argument("--page", type=positive, metavar="N", help=_PAGE)
    command.add_argument("--max-pixels", type=natural, metavar="N", help=_LIMIT)
    command.add_argument("--strip-metadata", action="store_true", help=_STRIP)


def check_outputs(arguments: argparse.Namespace, targets: list[pathlib.Path]) -> None:
    """Raise DataError if an option applies to none of these files' formats, or one of them does not support it."""
    from blindsr_jax.images.formats import format_of

    forms = {path: format_of(path) for path in targets}
    if arguments.quality and not any(form.quality for form in forms.values()):
        names = ", ".join(sorted({form.name for form in forms.values()}))
        raise UsageError(f"--quality: {names} loses nothing; it is for jpg, webp and avif")
    narrow = [path for path, form in forms.items() if form.bits == 8]
    if arguments.depth == 16 and narrow:
        raise UsageError(f"--depth 16: {narrow[0]} would hold 8 bits; png, tiff and avif (12) hold more: --format")


def max_pixels(arguments: argparse.Namespace) -> int:
    """The limit of ``--max-pixels``, or the default."""
    from blindsr_jax.images.opening import MAX_PIXELS

    return MAX_PIXELS if arguments.max_pixels is None else arguments.max_pixels


def _quality(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"must be a whole number from 1 to 100, got {text!r}")
    return int(text)
