"""Errors that speak to the user: one sentence saying what is wrong, where, and what to do.

`mcalc` prints such a sentence without a traceback and leaves with the class's exit code;
so it does where the machine fails (`explain`). Any other exception is a bug in mcalc (exit code 1,
with its traceback).
"""

import errno

# What the system says, and what a user can do about it.
FULL = "make room there or raise the limit, and run it again; nothing half-written is left"
FORBIDDEN = "allow writing there or choose another folder, and run it again"
FAILING = "look after the disk or the network that it lies on, and run it again"
GONE = "it was removed, or never written; run snakemake again"
TOO_MANY = "raise the limit of open files (ulimit -n) or take fewer threads, and run it again"
MEMORY = "give the job more (mem_mb in the profile) or fewer threads, and run it again"
ADVICE = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), FULL),
    **dict.fromkeys((errno.EROFS, errno.EACCES, errno.EPERM), FORBIDDEN),
    **dict.fromkeys((errno.EIO, errno.ESTALE, errno.ETIMEDOUT), FAILING),
    **dict.fromkeys((errno.ENOENT,), GONE),
    **dict.fromkeys((errno.ENOTDIR, errno.EISDIR, errno.EEXIST), "give another path"),
    **dict.fromkeys((errno.ENAMETOOLONG,), "give a shorter path"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), TOO_MANY),
    **dict.fromkeys((errno.ENOMEM,), MEMORY),
}
# Those that say nothing about the file that was to be read.
OF_THE_MACHINE = tuple(
    number for number, advice in ADVICE.items() if advice in (FAILING, TOO_MANY, MEMORY)
)


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


class AbandonedError(McalcError):
    """Nobody waits for this job's output any more (exit code 143, as of one that was stopped)."""

    exit_code = 143


def explain(error: OSError | MemoryError | RuntimeError) -> str | None:
    """Return a sentence for a failure of the machine, or None for what may be a bug."""
    # PyTorch has no class of its own for a CPU's memory.
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return f"The memory does not suffice; {MEMORY}."
    advice = ADVICE.get(getattr(error, "errno", None))
    if advice is None:
        return None
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}; {advice}."
