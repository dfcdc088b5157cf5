"""Tables of numbers that were measured on the page: what may differ between processors is marked as such.

The regression test of the book blanks the digits of a `Measured` cell (`<span class="measured">`, ⟨…⟩ in
plain text) before it compares; whether they are right is what `verify` decides.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Measured(str):
    """The text of a measured number."""


def measured(value: float | None, spec: str = ".4g") -> str:
    """`value` as a measured cell, formatted by `spec`, with a true minus sign; a dash for None."""
    return "–" if value is None else Measured(format(float(value), spec).replace("-", "−"))


class Table:
    """Rows of text under a head; the first cell of a row names it. Shown in HTML and as plain text.

    Cells are strings, or what `measured` returns. Raises ValueError for a row longer or shorter than the
    head.
    """

    def __init__(self, head: Sequence[str], rows: Iterable[Sequence[str]]):
        self.head, self.rows = list(head), [list(row) for row in rows]
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"the row {row} has {len(row)} cells, the head {len(self.head)}.")

    def __repr__(self) -> str:
        return "\n".join(" | ".join(map(_plain, row)) for row in [self.head, *self.rows])

    def _repr_html_(self) -> str:
        head = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in self.head)
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self.rows)
        return (
            '<div class="gan-claims-scroll" tabindex="0"><table class="gan-claims">'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        )


def _plain(cell: str) -> str:
    return f"⟨{cell}⟩" if isinstance(cell, Measured) else cell


def _cell(cell: str) -> str:
    text = html.escape(cell)
    text = f'<span class="measured">{text}</span>' if isinstance(cell, Measured) else text
    return f"<td>{text}</td>"
