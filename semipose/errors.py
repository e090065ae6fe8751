"""What a person who gave bad input gets to read."""


class InputError(ValueError):
    """Bad input: the message names the file, the field and what to do; it is printed without a traceback."""
