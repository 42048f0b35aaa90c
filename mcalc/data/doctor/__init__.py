"""`mcalc doctor`: what is wrong with a download, said before anything is run on it."""

from mcalc.data.doctor.examine import Check, Examination, examine
from mcalc.data.doctor.show import show, write_html, write_json

__all__ = ["Check", "Examination", "examine", "show", "write_html", "write_json"]
