"""Atomic writing: a file is written under a temporary name beside its target and then renamed. Safe opening."""

from __future__ import annotations

import contextlib
import errno
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
_live: set[pathlib.Path] = set()  # temporary files that this process is writing
_STALE = 24 * 3600  # seconds without a change after which another machine's temporary file counts as abandoned


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike) -> typing.Iterator[pathlib.Path]:
    """Yield a temporary path, which is renamed to ``path`` when the block ends without an error.

    The content is flushed to disk before the rename. After an error the temporary file is removed and an existing
    ``path`` is unchanged. A file that replaces another one gets its permissions, and is private while it is written.
    New files are not writable by everyone, whatever the umask. Missing parent folders are created. Temporary files that
    killed processes left in the folder are removed.

    Raises:
      DataError: the file system refused, for lack of space or permission or because a parent is not a folder.
    """
    path = pathlib.Path(path)
    name = f".{_host()}-{os.getpid()}-{secrets.token_hex(4)}.partial{path.suffix}"
    temporary = path.with_name(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path.parent)
        _live.add(temporary)
        replaced = _claimed(temporary, path)
        yield temporary
        _give_permissions(temporary, replaced)
        _to_disk(temporary)
        os.replace(temporary, path)
        with contextlib.suppress(OSError):  # not every file system can flush a folder
            _to_disk(path.parent)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({_words(error)}); nothing was changed there") from error
    finally:
        _remove(temporary)
        _live.discard(temporary)


def remove_temporaries() -> None:
    """Remove the files that this process is writing, because it is about to end without finishing them."""
    for temporary in tuple(_live):
        _remove(temporary)


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


def _remove(path: pathlib.Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()


def _claimed(temporary: pathlib.Path, path: pathlib.Path) -> os.stat_result | None:
    """The state of the file that will be replaced, if there is one; the temporary file then exists, as private."""
    with contextlib.suppress(OSError):
        replaced = path.stat()
        if stat.S_ISREG(replaced.st_mode):
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _mode(replaced) & 0o700 | 0o600))
            os.utime(temporary, (0, 0))  # tells whether anything is written
            return replaced
    return None


def _give_permissions(temporary: pathlib.Path, replaced: os.stat_result | None) -> None:
    written = temporary.stat()
    if replaced is None:
        if written.st_mode & stat.S_IWOTH:
            temporary.chmod(_mode(written) & ~stat.S_IWOTH)
        return
    if written.st_mtime == 0:
        raise FileNotFoundError(errno.ENOENT, "nothing was written")
    if (written.st_uid, written.st_gid) != (replaced.st_uid, replaced.st_gid):
        with contextlib.suppress(OSError):  # only root may give files away
            os.chown(temporary, replaced.st_uid, replaced.st_gid)
    temporary.chmod(_mode(replaced))


def _mode(state: os.stat_result) -> int:
    return stat.S_IMODE(state.st_mode)


def _words(error: OSError) -> str:
    """The system's words. NumPy has none of them for a file that is shorter than it should be."""
    if error.strerror is None and "requested and" in str(error):
        return "there is no space left, or files may not be as large"
    return error.strerror or str(error)


def _to_disk(path: pathlib.Path) -> None:
    """Flush a file, or the names in a folder, so that it survives a power failure."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


@functools.lru_cache(maxsize=1024)
def sweep(folder: pathlib.Path) -> None:
    """Remove temporary files of dead processes, if there is such a folder; runs once for each."""
    for entry in folder.iterdir() if folder.is_dir() else ():
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
