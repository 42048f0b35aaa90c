"""The files below a folder, whatever links and leftovers lie there."""

import os
from collections.abc import Iterator
from pathlib import Path


def list_files(root: Path, suffixes: tuple[str, ...]) -> Iterator[Path]:
    """Yield the files below `root` with one of `suffixes` (lower case), in a fixed order.

    Links to folders are followed, each folder once; names that begin with a dot, such as what a
    Mac leaves behind, are passed over. A path that a table names is only ever looked up among
    these: so no table can lead out of `root`.
    """
    seen = set()
    for folder, below, names in os.walk(root, followlinks=True):
        found = os.stat(folder)
        if (found.st_dev, found.st_ino) in seen:
            below.clear()
            continue
        seen.add((found.st_dev, found.st_ino))
        below.sort()
        for name in sorted(names):
            if name.lower().endswith(suffixes) and not name.startswith("."):
                yield Path(folder, name)
