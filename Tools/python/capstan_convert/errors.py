"""The one error of the converters."""


class ConversionError(Exception):
    """What was wrong, where, what was found and what was expected: shown to the user as it is."""
