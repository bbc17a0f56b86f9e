"""Errors of the data components: one line each, saying what is wrong, where, and what to do."""


class DataError(ValueError):
    """Data that a stage cannot use: the message is one line for the person who owns the data."""
