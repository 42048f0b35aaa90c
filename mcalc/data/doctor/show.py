"""An examination for the eyes: on screen, as JSON, as HTML."""

import json
import os
from dataclasses import asdict
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from rich.console import Console
from rich.table import Table

from mcalc.data.doctor.examine import Examination
from mcalc.files import write_text

# How many findings of a check are named on screen.
EXAMPLES = 3


def show(examination: Examination, console: Console | None = None) -> None:
    """Print the counts and the checks that found something."""
    console = console or Console()
    counts = Table(title=f"{examination.root} ({examination.dataset})", title_justify="left")
    for name in ("split", "label"):
        counts.add_column(name)
    for name in ("rois", "patients", "found", "missing"):
        counts.add_column(name, justify="right")
    for row in examination.counts:
        counts.add_row(*(str(value) for value in row.values()))
    console.print(counts)
    for check in examination.checks:
        style = "bold red" if check.needs_person else "bold"
        console.print(f"{len(check.findings):>6}  {check.name}", style=style, highlight=False)
        console.print(f"        {check.meaning}", highlight=False, soft_wrap=True)
        for which, detail in check.findings[:EXAMPLES]:
            said = f"{which}: {detail}" if detail else which
            console.print(f"        - {said}", markup=False, highlight=False, soft_wrap=True)
        if len(check.findings) > EXAMPLES:
            console.print(f"        - and {len(check.findings) - EXAMPLES} more", highlight=False)
    console.print(verdict(examination), highlight=False, soft_wrap=True)


def verdict(examination: Examination) -> str:
    """Return the last word: clean, or how much needs a person."""
    if not examination.needs_person:
        return "Nothing here needs a person."
    return f"{examination.needs_person} findings need a person."


def write_json(examination: Examination, path: str | os.PathLike) -> None:
    """Write everything that was found, whole or not at all."""
    content = asdict(examination) | {
        "root": str(examination.root),
        "needs_person": examination.needs_person,
        "checks": [
            check._asdict() | {"findings": [list(finding) for finding in check.findings]}
            for check in examination.checks
        ],
    }
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_html(examination: Examination, path: str | os.PathLike) -> None:
    """Write one page that opens offline, with every finding."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    template = environment.get_template("doctor.html.j2")
    page = template.render(examination=examination, verdict=verdict(examination))
    write_text(path, page)
