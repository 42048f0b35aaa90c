"""The files below a folder, whatever links and leftovers lie there."""

import os
from collections.abc import Iterator
from pathlib import Path

from mcalc.errors import DataError


def list_files(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files below `root` with one of `suffixes` (lower case), in a fixed order.

    Links to folders are followed, each folder once; names that begin with a dot, such as what a
    Mac leaves behind, are passed over. A path that a table names is only ever looked up among
    these: so no table can lead out of `root`.

    Raises
    ------
    DataError
        If a folder cannot be listed.
    """
    found = os.stat(root)
    seen, waiting = set(), [(os.fspath(root), (found.st_dev, found.st_ino))]
    while waiting:
        folder, place = waiting.pop()
        if place in seen:
            continue
        seen.add(place)
        folders, names = _list(folder)
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(folder, name)
        for entry in sorted(folders, key=lambda entry: entry.name, reverse=True):
            # A stat of each of 100,000 folders would take as long as the listing.
            link = entry.stat() if entry.is_symlink() else None
            of_entry = (link.st_dev, link.st_ino) if link else (place[0], entry.inode())
            waiting.append((entry.path, of_entry))


def _list(folder: str) -> tuple[list[os.DirEntry], list[str]]:
    """Return the folders in `folder`, and the names of what else lies there."""
    folders, names = [], []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_dir():
                    folders.append(entry)
                else:
                    names.append(entry.name)
    except OSError as error:
        raise DataError(
            f"{folder}: cannot be listed ({error.strerror}); allow reading it."
        ) from None
    return folders, names
