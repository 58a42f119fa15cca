"""Writing files so that a reader never sees half of one: to a temporary name beside the target, then renamed."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pathlib
import re
import secrets
import shutil
import socket
import time
import typing

from blindsr_jax.errors import DataError

# .HOST-PID-RANDOM.partial.png: short, so that it fits where the target's own name does.
_TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial(\..*)?")
_STALE = 24 * 3600  # seconds without a change, after which another machine's temporary file is taken for left over


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> typing.Iterator[pathlib.Path]:
    """A temporary path to write to, which becomes ``path`` when the block ends without an error.

    The content is on disk before it gets its name. On an error the temporary file is removed and an existing ``path``
    stays as it was. Missing parent folders are made. Temporary files that killed processes left in the folder are
    removed.

    Raises:
      DataError: the file system refused: no space, no permission, not a folder.
    """
    path = pathlib.Path(path)
    name = f".{_host()}-{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}"
    temporary = path.with_name(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _sweep(path.parent)
        yield temporary
        _to_disk(temporary)
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # not every file system can
            _to_disk(path.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed there") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def write_text(path: str | os.PathLike, text: str) -> None:
    """Writes a UTF-8 text file atomically. Raises DataError as ``atomic_path``."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _to_disk(path: pathlib.Path) -> None:
    """Waits until a file, or the names in a folder, would survive a loss of power."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@functools.lru_cache(maxsize=1024)
def _sweep(folder: pathlib.Path) -> None:
    """Removes temporary files of processes that are gone; once for each folder, before the first file is written."""
    for entry in folder.iterdir():
        found = _TEMPORARY.fullmatch(entry.name)
        if not found:
            continue
        with contextlib.suppress(OSError):
            ours = found[1] == _host() and not _runs(int(found[2]))
            if ours or time.time() - entry.stat().st_mtime > _STALE:
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


@functools.cache
def _host() -> str:
    """This machine, or container, as a few characters."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's
    return True
