"""The seconds that pass while one picture is restored, on a terminal."""

from __future__ import annotations

import contextlib
import threading
import typing

from tqdm import tqdm

from blindsr_jax.errors import printable

_EVERY = 0.5  # seconds


@contextlib.contextmanager
def working(text: str, *, shown: bool) -> typing.Iterator[None]:
    """Show a text and the seconds since the start of the block, because a single program has no steps to count.

    Args:
      text: what is done, such as the names of picture and model.
      shown: whether to show it; it is shown on terminals only.
    """
    ended = threading.Event()
    with tqdm(
        desc=printable(text), bar_format="{desc}: {elapsed}", leave=False, disable=None if shown else True
    ) as bar:

        def refresh() -> None:
            while not ended.wait(_EVERY):
                bar.refresh()

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
