"""Exceptions that a user can cause. Each message names the problem, the expected value and the remedy.

The commands print these messages without a traceback. Exit codes:

====  =================================================================================================================
0     success
1     failed, completely or for some inputs; a retry would fail again
2     wrong usage
75    stopped by SIGTERM or by the loss of another host; the scheduler should start it again (EX_TEMPFAIL)
130   interrupted with Ctrl-C
====  =================================================================================================================
"""

from __future__ import annotations

import re

_LONGEST, _END = 900, 200  # characters of a message that quotes a file, and those kept of its end

# Characters that steer a terminal or turn the direction of text, and bytes of a name that are no UTF-8.
_STEERING = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")


def printable(text: object) -> str:
    """Text for a terminal: control characters, as names of files and arrays may have, are written as ``\\x1b``.

    >>> print(printable("a\\x1b[31m.png"))
    a\\x1b[31m.png
    """
    return _STEERING.sub(_escaped, str(text))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    if 0xDC80 <= code <= 0xDCFF:  # os.fsdecode's way to keep a byte
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class BlindSRError(Exception):
    """Bad input or usage. The message addresses the user; as text it is ``printable``.

    Attributes:
      exit_code: exit code of a command that ends with this error.
      together: whether all processes of a multi-host run raised it at the same place.
    """

    exit_code = 1
    together = False

    def __str__(self) -> str:
        return printable(super().__str__())


class ConfigError(BlindSRError):
    """A training or evaluation setting is unknown, of the wrong type or out of range."""


class InputError(BlindSRError, ValueError):
    """An argument of a function has a shape, a type or a value that it cannot have."""


class DataError(BlindSRError):
    """An image, a folder of images or a data set is unusable."""


class UsageError(DataError):
    """Options contradict each other or the model, or ask for an output that cannot be."""

    exit_code = 2


class OutOfMemory(DataError):
    """An image is too large to restore at once."""


class WeightsError(BlindSRError):
    """A weight file is damaged, has an unknown format, or does not match the model. What it quotes is cut."""

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - _END - 3]} … {text[-_END:]}"


class Interrupted(BlindSRError):
    """The user stopped a run with Ctrl-C, and the run saved a checkpoint."""

    exit_code = 130
    together = True


class Preempted(Interrupted):
    """The scheduler stopped a run with SIGTERM, and the run saved a checkpoint."""

    exit_code = 75


class HostLost(BlindSRError):
    """Another process of the run did not join or was lost."""

    exit_code = 75


class Diverged(BlindSRError):
    """Too many consecutive updates were not finite, or the loss rose too far."""

    together = True
