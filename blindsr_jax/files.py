"""Atomic writing: a file is written under a temporary name beside its target and then renamed. Safe opening."""

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
import stat
import time
import typing

from blindsr_jax.errors import DataError

# .HOST-PID-RANDOM.partial.png: short, to stay within the file system's limit on name lengths.
_TEMPORARY = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.partial(\..*)?")
_STALE = 24 * 3600  # seconds without a change after which another machine's temporary file counts as abandoned


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> typing.Iterator[pathlib.Path]:
    """Yield a temporary path, which is renamed to ``path`` when the block ends without an error.

    The content is flushed to disk before the rename. After an error the temporary file is removed and an existing
    ``path`` is unchanged. Missing parent folders are created. Temporary files that killed processes left in the folder
    are removed.

    Raises:
      DataError: the file system refused, for lack of space or permission or because a parent is not a folder.
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
        with contextlib.suppress(OSError):  # not every file system can flush a folder
            _to_disk(path.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror or error}); nothing was changed there") from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def open_regular(path: str | os.PathLike) -> typing.BinaryIO:
    """Open a file for reading, without a buffer. A pipe or a device is refused at once instead of being waited for.

    Raises:
      DataError: it is missing, not allowed, or no regular file. The message begins with the path.
    """
    try:
        # Without O_NONBLOCK, opening a pipe waits for its writer.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        file = open(descriptor, "rb", buffering=0)  # noqa: SIM115 (the caller closes it)
    except FileNotFoundError:
        raise DataError(f"{os.fspath(path)}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{os.fspath(path)}: cannot be opened ({error.strerror or error})") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise DataError(f"{os.fspath(path)}: a pipe or a device, not a regular file; save it to a file first")
    return file


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write a UTF-8 text file atomically. Raises DataError like ``atomic_path``."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _to_disk(path: pathlib.Path) -> None:
    """Flush a file, or the names in a folder, so that it survives a power failure."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@functools.lru_cache(maxsize=1024)
def _sweep(folder: pathlib.Path) -> None:
    """Remove temporary files of dead processes; runs once per folder, before the first write."""
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
    """Return a short identifier of this machine or container."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:8]


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # the process belongs to another user
    return True
