"""libvips, which reads and writes image files, set up for files that nobody vouches for."""

from __future__ import annotations

import functools
import logging
import types


@functools.cache
def libvips() -> types.ModuleType:
    """pyvips, imported when an image file is first read or written.

    Its loaders for untrusted kinds are off, and it keeps nothing of what it has read. Its warnings go nowhere: what
    matters of them comes as an error.
    """
    import pyvips

    logging.getLogger("pyvips").setLevel(logging.CRITICAL)
    pyvips.cache_set_max(0)
    pyvips.block_untrusted_set(True)
    return pyvips


def words_of(error: Exception) -> str:
    """What libvips says went wrong, in one short line; it gathers messages, of which the last is the reason."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip() and "bad seek" not in line]
    text = lines[-1] if lines else "unknown error"
    return text if len(text) <= 160 else text[:157] + "..."
