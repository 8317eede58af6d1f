"""Parts of a long list: each begins after the last row of the one before, so that changes between two shift nothing."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Page:
    """At most `limit` rows after the one with the key `after`; -1: all, (): from the first."""

    after: tuple[int | str, ...] = ()
    limit: int = -1

    def sql(self, columns: Sequence[str], *, descending: bool = False) -> tuple[str, list[int | str]]:
        """The end of a query, behind its WHERE, that is ordered by these columns, and its parameters."""
        keys, values = ", ".join(columns), ", ".join("?" * len(columns))
        after = f" AND ({keys}) {'<' if descending else '>'} ({values})" if self.after else ""
        order = ", ".join(f"{column} DESC" if descending else column for column in columns)
        return f"{after} ORDER BY {order} LIMIT ?", [*self.after, self.limit]


ALL = Page()
