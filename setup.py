"""Builds csrc/ into mcalc._native; everything else is in pyproject.toml."""

import hashlib
import os
import sys
from pathlib import Path

from pybind11.setup_helpers import ParallelCompile, Pybind11Extension, build_ext
from setuptools import setup

SOURCES = sorted(Path("csrc").glob("*.[ch]pp"))


def source_hash() -> str:
    """Hash csrc/ as mcalc/images/filters.py does, which compares the two when it is imported."""
    digest = hashlib.sha256()
    for source in SOURCES:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


def compiler_flags() -> list[str]:
    """Return what the compiler is told; warnings are errors in CI only, not on a user's machine.

    The environment variable MCALC_OPTIMISE replaces -O3, for builds with sanitizers.
    """
    if sys.platform == "win32":
        return ["/O2"]
    return [os.environ.get("MCALC_OPTIMISE", "-O3"), "-Wall", "-Wextra"] + (
        ["-Werror"] if os.environ.get("CI") else []
    )


ParallelCompile(default=0).install()  # as many files at once as there are cores
setup(
    ext_modules=[
        Pybind11Extension(
            "mcalc._native",
            [path.as_posix() for path in SOURCES if path.suffix == ".cpp"],
            depends=[path.as_posix() for path in SOURCES],
            define_macros=[("MCALC_SOURCE_HASH", f'"{source_hash()}"')],
            extra_compile_args=compiler_flags(),
            cxx_std=17,
        )
    ],
    cmdclass={"build_ext": build_ext},
)
