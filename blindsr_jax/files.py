"""Writing files so that a reader never sees half of one: to a temporary name beside the target, then renamed."""

from __future__ import annotations

import contextlib
import os
import pathlib
import typing

from blindsr_jax.errors import DataError


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> typing.Iterator[pathlib.Path]:
    """A temporary path to write to, which becomes ``path`` when the block ends without an error.

    On an error the temporary file is removed and an existing ``path`` stays as it was. Missing parent folders are made.

    Raises:
      DataError: the file system refused: no space, no permission, not a folder.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed there") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a UTF-8 text file atomically. Raises DataError as ``atomic_path``."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
