"""Stage `models`: what the league consists of, a line a method."""

from mcalc.learning.league import read_league


def list_models() -> str:
    """Return a line a method: its name, its group, what it is, its source and year."""
    league = read_league()
    name_width, group_width = (max(map(len, names)) for names in (league, _groups(league)))
    return "\n".join(
        f"{name:{name_width}}  {entry.group:{group_width}}  {entry.line}. "
        f"{entry.source.journal}, {entry.source.year}"
        for name, entry in league.items()
    )


def _groups(league: dict) -> set[str]:
    return {entry.group for entry in league.values()}
