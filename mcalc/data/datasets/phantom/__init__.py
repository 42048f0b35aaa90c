"""A made-up data set in the shape of CBIS-DDSM, with known lesions and known breasts."""

from mcalc.data.datasets.phantom.mammogram import draw_mammogram
from mcalc.data.datasets.phantom.tree import write_phantom

__all__ = ["draw_mammogram", "write_phantom"]
