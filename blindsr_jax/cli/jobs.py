"""Jobs on many files: choose an output for each input, and continue when one of them fails."""

from __future__ import annotations

import collections
import os
import pathlib
import sys
import typing

from tqdm import tqdm

from blindsr_jax.errors import BlindSRError, UsageError, printable
from blindsr_jax.files import sweep
from blindsr_jax.images.folders import find_images, list_images
from blindsr_jax.images.formats import FORMATS

Pairs = list[tuple[pathlib.Path, pathlib.Path]]


def plan_outputs(
    inputs: typing.Sequence[pathlib.Path], output: pathlib.Path | None, form: str | None = None, *, tag: str = ""
) -> Pairs:
    """Choose an output file for each input.

    A single file can be written to a file name. Anything else is written into a folder, which keeps the tree of input
    folders. If two outputs would have one name, such as those of ``a.jpg`` and ``a.png``, they get the inputs' full
    names: ``a.jpg.png`` and ``a.png.png``.

    Args:
      inputs: files and folders.
      output: a file name with an image extension, or a folder. None writes beside each input: ``photo_x4.jpg`` beside
        ``photo.jpg``, and the folder ``holiday_x4`` beside ``holiday``, for the tag ``_x4``.
      form: the format of outputs in a folder, one of ``formats.NAMES``. By default it follows the input's extension;
        formats that can only be read, such as GIF, become PNG.
      tag: the end of a default name.

    Returns:
      Pairs of source and target.

    Raises:
      DataError: an input is missing, two inputs would become one output, or an output would replace an input; or the
        output's extension is not an image format or contradicts ``form``.
    """
    if output is None:
        return _without_collisions([pair for given in inputs for pair in _beside(given, tag, form)])
    to_one = len(inputs) == 1 and inputs[0].is_file() and output.suffix and not output.is_dir()
    if to_one and output.suffix.lower() not in FORMATS:
        raise UsageError(f"{output}: an image file's name must end in one of {', '.join(FORMATS)}")
    if output.suffix.lower() in FORMATS and not output.is_dir():
        pairs = [(_only(inputs, output), output)]
        if form not in (None, FORMATS[output.suffix.lower()].name):
            raise UsageError(f"{output}: its name says another format than --format {form}; leave one of the two out")
    else:
        pairs = [pair for given in inputs for pair in _into(given, output, form)]
    return _without_collisions(pairs)


def _beside(given: pathlib.Path, tag: str, form: str | None) -> Pairs:
    """Outputs beside a file, or in a folder beside a folder."""
    if given.is_dir():
        folder = given.resolve()
        return _into(given, folder.with_name(folder.name + tag), form)
    (source,) = list_images(given)
    return [(source, source.with_name(source.stem + tag + _suffix(source, form)))]


def _into(given: pathlib.Path, output: pathlib.Path, form: str | None) -> Pairs:
    """Outputs in a folder for a file, or for the files of a folder, whose tree is kept."""
    found = find_images(given, without=output)
    if line := found.warning(given):
        print(f"blindsr: {line}", file=sys.stderr)
    relative = [source.relative_to(given) if given.is_dir() else pathlib.Path(source.name) for source in found.images]
    return [(source, output / path.with_suffix(_suffix(source, form))) for source, path in zip(found.images, relative)]


def _without_collisions(pairs: Pairs) -> Pairs:
    """Give outputs of one name, also on disks that ignore case, the full names of their inputs.

    Raises:
      UsageError: two outputs have one name all the same, or one would replace an input.
    """
    count = collections.Counter(_place(target) for _, target in pairs)
    pairs = [
        (source, target if count[_place(target)] == 1 else target.with_name(source.name + target.suffix))
        for source, target in pairs
    ]
    sources, seen = {source.resolve() for source, _ in pairs}, dict[str, pathlib.Path]()
    for source, target in pairs:
        if target.resolve() in sources:
            raise UsageError(f"{target}: this output would replace an input; choose another place after -o")
        if (other := seen.setdefault(_place(target), source)) != source:
            raise UsageError(f"{source} and {other} would both be written to {target}; restore them separately")
    return pairs


def _place(path: pathlib.Path) -> str:
    return os.path.abspath(path).casefold()


def _only(inputs: typing.Sequence[pathlib.Path], output: pathlib.Path) -> pathlib.Path:
    """Return the input if it is a single file; raise DataError otherwise."""
    for given in inputs:
        list_images(given)  # names what is missing or empty
    if len(inputs) != 1 or inputs[0].is_dir():
        kind = f"{inputs[0]} is a folder" if len(inputs) == 1 else "there are several inputs"
        raise UsageError(f"{output} is one file, but {kind}: give a folder after -o")
    return inputs[0]


def _suffix(source: pathlib.Path, form: str | None) -> str:
    """Choose an output's extension: the input's if it belongs to the format."""
    own = FORMATS.get(source.suffix.lower())
    if form is None:
        return source.suffix if own else ".png"
    return source.suffix if own and own.name == form else f".{form}"


def _say(text: str) -> None:
    """Write a line to stderr above the progress bar; names cannot steer the terminal."""
    tqdm.write(printable(text), file=sys.stderr)


def run_jobs(
    jobs: list[tuple[pathlib.Path, pathlib.Path]],
    action: typing.Callable[[pathlib.Path, pathlib.Path], str | None],
    *,
    overwrite: bool,
    verb: str,
    companions: typing.Callable[[pathlib.Path], list[pathlib.Path]] = lambda target: [],
) -> int:
    """Run an action on each source and target with a progress bar; report a file that fails, and continue.

    Args:
      jobs: pairs from ``plan_outputs``.
      action: function of source and target. It returns a description of the result for the closing line of a single
        job. A BlindSRError that it raises counts as that file's failure.
      overwrite: replace existing targets instead of skipping them.
      verb: label of the progress bar.
      companions: function that lists the files made along with a target. They are not replaced without ``overwrite``
        either. The message on a skipped target names the missing ones.

    Returns:
      Exit code: 0, or 1 if a file failed.
    """
    for folder in {target.parent for _, target in jobs}:
        sweep(folder)  # also where everything is skipped
    failed = skipped = 0
    told: str | None = None
    with tqdm(jobs, verb, unit="image", disable=len(jobs) == 1) as bar:
        for source, target in bar:
            kept = [path for path in (target, *companions(target)) if path.exists() and not overwrite]
            if kept and kept[0] != target:
                skipped += 1
                names = ", ".join(path.name for path in kept)
                _say(f"{target}: skipped, because {names} exists (--overwrite replaces it)")
                continue
            if kept:
                skipped += 1
                missing = ", ".join(path.name for path in companions(target) if not path.exists())
                also = f"; {missing}: not there, and made only with the picture" if missing else ""
                _say(f"{target}: exists, skipped (--overwrite replaces it){also}")
                continue
            try:
                told = action(source, target)
            except BlindSRError as error:
                failed += 1
                message, name = str(error), printable(source)
                _say(f"blindsr: {message if name in message else f'{name}: {message}'}")
    done = len(jobs) - failed - skipped
    if told and len(jobs) == done == 1:
        print(printable(f"{jobs[0][1]}: {told}"))
        return 0
    print(
        f"{done} of {len(jobs)} written"
        + (f", {skipped} skipped" if skipped else "")
        + (f", {failed} failed" if failed else "")
    )
    return 1 if failed else 0
