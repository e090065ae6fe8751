"""What ends a run before its work is done: bad input, and being asked to stop."""


class InputError(ValueError):
    """Bad input: the message names the file, the field and what to do; it is printed without a traceback."""


class InputWarning(UserWarning):
    """Input that can be used, but may not be what was meant: the message names the file and what is odd."""


class Everywhere(InputError):
    """One that every process of a training has at once: the first one tells it."""


class Stopped(Exception):
    """A training that was asked to stop and left a checkpoint, from which the next run goes on."""
