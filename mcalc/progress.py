"""How long work shows that it goes on: a bar on a terminal, nothing in a log."""

from collections.abc import Callable, Iterable, Iterator

Progress = Callable[[Iterable, int], Iterable]


def silent(items: Iterable, total: int) -> Iterable:
    """Show nothing; `total` is the number of items."""
    return items


def bar(description: str) -> Progress:
    """Return a `Progress` that draws a bar on standard error where that is a terminal."""

    def with_bar(items: Iterable, total: int) -> Iterator:
        from rich.console import Console
        from rich.progress import track

        console = Console(stderr=True)
        yield from track(
            items, description, total=total, console=console, disable=not console.is_terminal
        )

    return with_bar
