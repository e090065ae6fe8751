"""What ends a run before its work is done: bad input, or a request to stop."""

# What a message asks for; the pipeline knows the command that does it.
DOWNLOAD_AGAIN = "download the data set again"
PACK_AGAIN = "write the crop pack again"
SPLIT_AGAIN = "make the split again"
FROM_PRESET = "write it from a preset"
NEW_NAMES = "rename the keys of semipose 0.1"


class InputError(ValueError):
    """Bad input.

    The message names the file, the field and what to do; commands print it without a traceback.
    It knows no DVC: the stage that catches it adds the command to run.
    """


class InputWarning(UserWarning):
    """Input that can be used, but is suspicious: the message names the file and what is odd."""


class Everywhere(InputError):
    """An error that all processes of a training have at once; only the first process prints it."""


class Stopped(Exception):
    """A training that was asked to stop and left a checkpoint, from which the next run continues."""
