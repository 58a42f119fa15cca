"""The exceptions that a user can cause: their message names what is wrong, what was expected and what to do.

The commands print these without a traceback. Exit codes: 0 all done, 1 failed or some inputs failed, 2 wrong usage,
130 interrupted.
"""


class BlindSRError(Exception):
    """Bad input or usage; the message is meant to be read by the person who caused it."""


class ConfigError(BlindSRError):
    """A training or evaluation setting is unknown, of the wrong type or out of range."""


class DataError(BlindSRError):
    """An image, a folder of images or a data set cannot be used."""


class OutOfMemory(DataError):
    """An image is too large to be restored at once."""


class WeightsError(BlindSRError):
    """A weight file is damaged, of an unknown kind, or does not fit the model it is for."""


class Interrupted(BlindSRError):
    """A run was asked to stop; it has saved."""


class Diverged(BlindSRError):
    """Too many updates in a row were not finite."""
