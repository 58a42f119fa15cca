"""Jobs on many files: choose an output for each input, and continue when one of them fails."""

from __future__ import annotations

import pathlib
import sys
import typing

from tqdm import tqdm

from blindsr_jax.errors import BlindSRError, DataError
from blindsr_jax.images.folders import list_images
from blindsr_jax.images.formats import FORMATS


def plan_outputs(
    inputs: typing.Sequence[pathlib.Path], output: pathlib.Path, form: str | None = None
) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """Choose an output file for each input.

    A single file can be written to a file name. Anything else is written into a folder, which keeps the tree of input
    folders.

    Args:
      inputs: files and folders.
      output: a file name with an image extension, or a folder.
      form: the format of outputs in a folder, one of ``formats.NAMES``. By default it follows the input's extension;
        formats that can only be read, such as GIF, become PNG.

    Returns:
      Pairs of source and target.

    Raises:
      DataError: an input is missing, two inputs would become one output, or an output would replace an input; or the
        output's extension is not an image format or contradicts ``form``.
    """
    to_one = len(inputs) == 1 and inputs[0].is_file() and output.suffix and not output.is_dir()
    if to_one and output.suffix.lower() not in FORMATS:
        raise DataError(f"{output}: an image file's name must end in one of {', '.join(FORMATS)}")
    if output.suffix.lower() in FORMATS and not output.is_dir():
        pairs = [(_only(inputs, output), output)]
        if form not in (None, FORMATS[output.suffix.lower()].name):
            raise DataError(f"{output}: its name says another format than --format {form}; leave one of the two out")
    else:
        pairs = []
        for given in inputs:
            for source in list_images(given):
                relative = source.relative_to(given) if given.is_dir() else pathlib.Path(source.name)
                pairs.append((source, output / relative.with_suffix(_suffix(source, form))))
    sources = {source.resolve() for source, _ in pairs}
    seen: dict[pathlib.Path, pathlib.Path] = {}
    for source, target in pairs:
        if target.resolve() in sources:
            raise DataError(f"{target}: this output would replace an input; choose another place after -o")
        if target in seen:
            raise DataError(f"{source} and {seen[target]} would both be written to {target}; restore them separately")
        seen[target] = source
    return pairs


def _only(inputs: typing.Sequence[pathlib.Path], output: pathlib.Path) -> pathlib.Path:
    """Return the input if it is a single file; raise DataError otherwise."""
    for given in inputs:
        list_images(given)  # names what is missing or empty
    if len(inputs) != 1 or inputs[0].is_dir():
        kind = f"{inputs[0]} is a folder" if len(inputs) == 1 else "there are several inputs"
        raise DataError(f"{output} is one file, but {kind}: give a folder after -o")
    return inputs[0]


def _suffix(source: pathlib.Path, form: str | None) -> str:
    """Choose an output's extension: the input's if it belongs to the format."""
    own = FORMATS.get(source.suffix.lower())
    if form is None:
        return source.suffix if own else ".png"
    return source.suffix if own and own.name == form else f".{form}"


def run_jobs(
    jobs: list[tuple[pathlib.Path, pathlib.Path]],
    action: typing.Callable[[pathlib.Path, pathlib.Path], None],
    *,
    overwrite: bool,
    verb: str,
    companions: typing.Callable[[pathlib.Path], list[pathlib.Path]] = lambda target: [],
) -> int:
    """Run an action on each source and target with a progress bar; report a file that fails, and continue.

    Args:
      jobs: pairs from ``plan_outputs``.
      action: function of source and target; a BlindSRError that it raises counts as that file's failure.
      overwrite: replace existing targets instead of skipping them.
      verb: label of the progress bar.
      companions: function that lists the files made along with a target. The message on a skipped target names the
        missing ones.

    Returns:
      Exit code: 0, or 1 if a file failed.
    """
    failed = skipped = 0
    with tqdm(jobs, verb, unit="image", disable=len(jobs) == 1) as bar:
        for source, target in bar:
            if target.exists() and not overwrite:
                skipped += 1
                missing = ", ".join(path.name for path in companions(target) if not path.exists())
                also = f"; {missing}: not there, and made only with the picture" if missing else ""
                tqdm.write(f"{target}: exists, skipped (--overwrite replaces it){also}", file=sys.stderr)
                continue
            try:
                action(source, target)
            except BlindSRError as error:
                failed += 1
                message = str(error)
                tqdm.write(f"blindsr: {message if str(source) in message else f'{source}: {message}'}", file=sys.stderr)
    done = len(jobs) - failed - skipped
    print(
        f"{done} of {len(jobs)} written"
        + (f", {skipped} skipped" if skipped else "")
        + (f", {failed} failed" if failed else "")
    )
    return 1 if failed else 0
