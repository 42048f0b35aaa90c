"""Builds csrc/ into mcalc._native; everything else is in pyproject.toml."""

import hashlib
from pathlib import Path

from pybind11.setup_helpers import Pybind11Extension, build_ext
from setuptools import setup

SOURCES = sorted(Path("csrc").glob("*.[ch]pp"))


def source_hash() -> str:
    """Hash csrc/ as mcalc/images/filters.py does, which compares the two when it is imported."""
    digest = hashlib.sha256()
    for source in SOURCES:
        digest.update(source.name.encode() + b"\0" + source.read_bytes())
    return digest.hexdigest()[:12]


setup(
    ext_modules=[
        Pybind11Extension(
            "mcalc._native",
            [path.as_posix() for path in SOURCES if path.suffix == ".cpp"],
            depends=[path.as_posix() for path in SOURCES],
            define_macros=[("MCALC_SOURCE_HASH", f'"{source_hash()}"')],
            extra_compile_args=["-O3", "-Wall", "-Wextra", "-Werror"],
            cxx_std=17,
        )
    ],
    cmdclass={"build_ext": build_ext},
)
