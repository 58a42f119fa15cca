"""The exceptions that a user can cause: their message names what is wrong, what was expected and what to do.

The commands print these as one line, without a traceback, and leave with the exit codes of the README.
"""


class BlindSRError(Exception):
    """Bad input or usage; the message is meant to be read by the person who caused it."""


class ConfigError(BlindSRError):
    """A training or evaluation setting is unknown, of the wrong type or out of range."""


class DataError(BlindSRError):
    """An image, a folder of images or a data set cannot be used."""


class WeightsError(BlindSRError):
    """A weight file is damaged, of an unknown kind, or does not fit the model it is for."""
