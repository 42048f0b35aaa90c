"""Errors that speak to the user: one sentence saying what is wrong, where, and what to do.

`mcalc` prints such a sentence without a traceback and leaves with the class's exit code;
any other exception is a bug in mcalc (exit code 1, with its traceback).
"""


class McalcError(Exception):
    """A problem the user can mend; `str(error)` is the sentence that is shown."""

    exit_code = 1


class UsageError(McalcError):
    """The call or the configuration is wrong (exit code 2)."""

    exit_code = 2


class DataError(McalcError):
    """The data cannot be used as they are (exit code 3).

    `reason` is a word of `mcalc.records.REJECTION_REASONS`: a stage that sets a single bad image
    aside writes it into the rejected table.
    """

    exit_code = 3

    def __init__(self, message: str, reason: str = "unreadable") -> None:
        super().__init__(message)
        self.reason = reason
