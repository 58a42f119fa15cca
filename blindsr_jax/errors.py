"""The exceptions that a user can cause: their message names what is wrong, what was expected and what to do.

The commands print these without a traceback. Exit codes:

====  =================================================================================================================
0     all done
1     failed, or some inputs failed; would fail again
2     wrong usage
75    ended from outside, by SIGTERM or since another host was lost: schedulers should start it again (EX_TEMPFAIL)
130   interrupted by a person, with Ctrl-C
====  =================================================================================================================
"""


class BlindSRError(Exception):
    """Bad input or usage; the message is meant to be read by the person who caused it.

    Attributes:
      exit_code: of a command that ends with it.
      together: all processes of a run on several hosts raised it at the same place.
    """

    exit_code = 1
    together = False


class ConfigError(BlindSRError):
    """A training or evaluation setting is unknown, of the wrong type or out of range."""


class InputError(BlindSRError, ValueError):
    """An argument of a function has a shape, a type or a value that it cannot have."""


class DataError(BlindSRError):
    """An image, a folder of images or a data set cannot be used."""


class OutOfMemory(DataError):
    """An image is too large to be restored at once."""


class WeightsError(BlindSRError):
    """A weight file is damaged, of an unknown kind, or does not fit the model it is for."""


class Interrupted(BlindSRError):
    """A person stopped a run with Ctrl-C; it has saved."""

    exit_code = 130
    together = True


class Preempted(Interrupted):
    """A scheduler stopped a run with SIGTERM; it has saved."""

    exit_code = 75


class HostLost(BlindSRError):
    """Another process of the run did not come, or is gone."""

    exit_code = 75


class Diverged(BlindSRError):
    """Too many updates in a row were not finite."""

    together = True
