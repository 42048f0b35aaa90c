"""Every output is written to a temporary name and renamed: a file that exists is whole.

A job that is killed leaves its temporary file behind, as `.{name}.{eight letters}.part`. Whoever
begins to write the same output removes it. That needs no knowledge of who lives on which machine:
the last to begin owns an output, and one that began earlier finds its temporary file gone and ends
without having changed anything.
"""

import os
import re
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mcalc.errors import AbandonedError, McalcError

# Appended to a file that a library failed to write, to hear from the system why.
PROBE = 1 << 16


@contextmanager
def whole_file(path: str | os.PathLike, *, is_output: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block succeeds.

    The temporary file keeps the suffix of `path` (writers choose the format by it). When the
    block raises, the temporary file is removed and an older `path` stays as it was. An `OSError`
    that leaves it names `path`, also where a library kept the reason to itself.

    Parameters
    ----------
    path : path
    is_output : bool
        False for what its reader checks before it uses it, as a checkpoint: that is written also
        when the workflow is gone.

    Raises
    ------
    AbandonedError
        If another job has begun to write `path`, or the workflow that started this one is gone.
    """
    path = Path(path)
    temporary = _begin(path)
    try:
        yield temporary
        temporary.chmod(0o644)  # some writers make it private; a group reads outputs on a cluster
        if is_output:
            _check_owner(path)
        os.replace(temporary, path)
    except Exception as error:
        _explain(error, temporary, path)
        raise
    finally:
        with suppress(OSError):  # a folder that has become read-only
            temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | os.PathLike) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; put it in the place of `path` at the end.

    When the block raises, the temporary folder is removed and an older `path` stays as it was.
    At no moment does `path` hold a part of its files: an older one is moved aside first.

    Raises
    ------
    AbandonedError
        If another job has begun to write `path`, or the workflow that started this one is gone.
    """
    path = Path(path)
    temporary, aside = _begin(path), _new_name(path)
    temporary.mkdir()
    try:
        yield temporary
        _check_owner(path)
        if path.exists() and temporary.is_dir():
            os.replace(path, aside)
        os.replace(temporary, path)
    except OSError as error:
        if not temporary.is_dir():
            raise AbandonedError(_taken_over(path)) from error
        _explain(error, temporary, path)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(aside, ignore_errors=True)


def write_text(path: str | os.PathLike, text: str) -> None:
    """Write `text` (UTF-8) to `path`, whole or not at all."""
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _begin(path: Path) -> Path:
    """Make room for an output; return a name for it until it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_over(path)
    return _new_name(path)


def _new_name(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.part{path.suffix}")


def _remove_left_over(path: Path) -> None:
    """Remove what earlier jobs left of this output, killed ones or ones that still run."""
    kind = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{8}}\.part{re.escape(path.suffix)}")
    with os.scandir(path.parent) as entries:
        found = [Path(entry.path) for entry in entries if kind.fullmatch(entry.name)]
    for older in found:
        if not older.is_dir():
            older.unlink(missing_ok=True)
            continue
        # Renamed first: whoever still writes into it must not find a part of it left to be put in
        # the place of the output.
        doomed = _new_name(path)
        with suppress(FileNotFoundError):
            os.replace(older, doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _check_owner(path: Path) -> None:
    """Refuse to put an output in its place for a workflow that was killed.

    Its next run may have other settings, and may have written the output anew already.
    """
    place, _, process = os.environ.get("MCALC_WORKFLOW", "").rpartition(" ")
    if place != _this_machine():  # a job on a cluster's node cannot see
        return
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        raise AbandonedError(
            f"{path}: not written, since the Snakemake that started this job is gone; run "
            "snakemake again."
        ) from None
    except PermissionError:  # it lives, and is somebody else's
        return


def _this_machine() -> str:
    """Name this machine and, in a container, its numbering of processes; as common.smk does."""
    numbering = "/proc/self/ns/pid"
    return f"{socket.gethostname()} {os.readlink(numbering) if os.path.exists(numbering) else ''}"


def _taken_over(path: Path) -> str:
    return f"{path}: not written, since another job has begun to write it; leave it to that one."


def _explain(error: Exception, temporary: Path, path: Path) -> None:
    """Give an error of the system its number and the name of the output; leave others alone.

    safetensors hides the number in a text, PyTorch loses it, pandas and matplotlib tell no name.
    """
    if isinstance(error, OSError) and error.errno:
        named = os.fsdecode(error.filename) if error.filename else str(temporary)
        if named.startswith(str(temporary)):
            error.filename, error.filename2 = str(path) + named[len(str(temporary)) :], None
        return
    if isinstance(error, McalcError) or temporary.is_dir():
        return
    told = re.search(r"os error (\d+)", str(error))
    number = int(told.group(1)) if told else _ask_system(temporary)
    if number:
        raise OSError(number, os.strerror(number), str(path)) from error


def _ask_system(temporary: Path) -> int:
    """Return the number of the error that writing to a file meets now, or 0."""
    try:
        with open(temporary, "ab") as file:
            file.write(bytes(PROBE))
    except OSError as error:
        return error.errno or 0
    return 0
