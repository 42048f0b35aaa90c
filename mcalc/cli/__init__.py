"""The command line: one sub-command a stage, each importing its module only when it is called."""

import sys

import typer

from mcalc.cli import data, evaluation, images, learning, reporting
from mcalc.errors import DataError, McalcError, explain
from mcalc.log_head import print_head

# In the order in which data pass through them.
COMMANDS = (
    data.phantom,
    data.phantom_stacks,
    data.doctor,
    data.catalog,
    images.convert,
    data.accept,
    images.clean,
    images.clean_mammograms,
    images.compare_filters,
    images.bench_filters,
    images.choose_filter,
    images.enhance,
    images.stack,
    images.stack_slices,
    evaluation.draw_seed,
    evaluation.split,
    evaluation.overlap,
    learning.train,
    learning.predict,
    learning.shortcuts,
    learning.models,
    learning.extract_features,
    learning.fit_model,
    learning.fit_ensemble,
    learning.audit_tables,
    learning.audit_leakage,
    reporting.show_leakage,
    evaluation.evaluate,
    evaluation.score,
    evaluation.score_league,
    reporting.show_league,
    reporting.tables,
    reporting.figures,
    reporting.compare_paper,
    reporting.report,
    reporting.status,
    reporting.audit_metrics,
)

app = typer.Typer(
    name="mcalc",
    help=(
        "Benign or malignant breast microcalcifications: from DICOM to the tables of a study.\n\n"
        "One command a stage, in the order in which data pass through them; `snakemake` calls them "
        "all. Research software, not for diagnosis."
    ),
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in COMMANDS:
    app.command()(command)


def main() -> None:
    """Run the command line; a `McalcError` is one sentence and an exit code, no traceback.

    So is a failure of the machine, such as a full disk: 3, as where data cannot be used.
    """
    try:
        print_head(sys.argv[1:])
        app()
    except McalcError as error:
        _end(str(error), error.exit_code)
    except (OSError, MemoryError, RuntimeError) as error:
        sentence = explain(error)
        if sentence is None:
            raise
        _end(sentence, DataError.exit_code)


def _end(sentence: str, exit_code: int) -> None:
    sys.stdout.flush()  # in a log that takes both streams the sentence comes last
    print(f"mcalc: {sentence}", file=sys.stderr)
    sys.exit(exit_code)
