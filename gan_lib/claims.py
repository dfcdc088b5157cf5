"""`verify`: a statement, what was measured for it and the bound that it must keep, or the page fails.

Each claim shows a line with the measured value. The measured digits are marked (`<span class="measured">`,
`⟨…⟩`), so that a regression test can ignore what differs between processors; the verdict is never
ignored, because a claim outside its bound raises `ClaimError`.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from gan_lib.tables import Measured, Table

RECORDS: dict[str, Claim] = {}  # by text: re-running a cell replaces its claim


class ClaimError(AssertionError):
    """A statement did not hold. The message has what was expected and what was measured."""


@dataclass(frozen=True)
class Claim:
    """One verified statement: what the ledger is made of. `measured` holds one number a member."""

    text: str
    kind: str
    measured: list[float]
    required: str
    passed: int
    needed: int
    statement: list[str]
    source: str

    @property
    def holds(self) -> bool:
        return self.passed >= self.needed

    def summary(self) -> str:
        """The measured numbers in one short piece of text."""
        values = np.asarray(self.measured)
        if len(values) == 1:
            return ("no", "yes")[int(values[0])] if self.kind == "holds" else _number(values[0])
        if self.kind in ("increasing", "decreasing"):  # the order matters, and a few points show it
            shown = values if len(values) <= 6 else values[[0, 1, 2, -2, -1]]
            steps = [_number(v) for v in shown]
            return " → ".join(steps if len(values) <= 6 else [*steps[:3], "…", *steps[3:]])
        if self.kind == "holds":
            return f"{self.passed} of {len(values)}"
        low, middle, high = np.quantile(values, [0, 0.5, 1])
        spread = f"median {_number(middle)}, from {_number(low)} to {_number(high)}"
        return f"{self.passed} of {len(values)}: {spread}"

    def __str__(self) -> str:
        mark = "✓" if self.holds else "✗"
        return f"{mark} {self.text} ⟨{self.summary()}⟩ {self.requirement()}"

    def requirement(self) -> str:
        n = len(self.measured)
        if n == 1 or self.kind in ("increasing", "decreasing"):
            return self.required
        return self.required + (
            f", for all {n}" if self.needed == n else f", for at least {self.needed} of {n}"
        )

    def _repr_html_(self) -> str:
        return (
            f'<div class="gan-claim{"" if self.holds else " failed"}">'
            f'<span class="tick">{"✓" if self.holds else "✗"}</span> {html.escape(self.text)} '
            f'<span class="measured">{self.summary()}</span> '
            f'<span class="source">{html.escape(self.requirement())}</span></div>'
        )


def verify(
    text: str,
    measured,
    *,
    equals: float | None = None,
    atol: float = 0.0,
    rtol: float = 0.0,
    above: float | None = None,
    below: float | None = None,
    between: tuple[float, float] | None = None,
    increasing: bool = False,
    decreasing: bool = False,
    holds: bool = False,
    at_least: int | None = None,
    statement: str | Sequence[str] = (),
    source: str = "",
) -> None:
    """Show whether `measured` keeps its bound, record it, and raise `ClaimError` if it does not.

    Give exactly one requirement: `equals` (with `atol` and/or `rtol`), `above`, `below`, `between`,
    `increasing` or `decreasing` (measured is a sequence), or `holds=True` (measured is one or more
    booleans). Several numbers, such as one a seed, must all keep the bound, or `at_least` of them.
    NaN keeps no bound. `statement`: id(s) in statements.yml; `source`: paper and equation.
    Raises ValueError if there is nothing measured or not exactly one requirement.
    """
    values = _to_array(measured)
    bounds = {"above": above, "below": below, "between": between, "equals": equals}
    bounds |= {"increasing": increasing, "decreasing": decreasing, "holds": holds}
    chosen = [name for name, bound in bounds.items() if bound is not None and bound is not False]
    if len(chosen) != 1:
        raise ValueError(f"verify needs exactly one requirement out of {', '.join(bounds)}.")
    kind = chosen[0]
    kept, required = _judge(kind, bounds[kind], values, atol, rtol)
    ids = [statement] if isinstance(statement, str) else list(statement)
    if at_least is not None and kind in ("increasing", "decreasing"):
        raise ValueError(f"{kind} is about all values together: it takes no at_least.")
    needed = len(kept) if at_least is None else at_least
    if not 1 <= needed <= len(kept):
        raise ValueError(f"at_least={at_least} makes no sense for {len(kept)} measured values.")
    claim = Claim(text, kind, values.tolist(), required, int(kept.sum()), needed, ids, source)
    RECORDS[text] = claim
    _show(claim)
    if not claim.holds:
        raise ClaimError(f"{text}: expected {claim.requirement()}, measured {claim.summary()}")


def table() -> Table:
    """What this chapter verified: one row a claim so far, built from the records."""
    rows = [(c.text, Measured(c.summary()), c.requirement(), c.source) for c in RECORDS.values()]
    return Table(("Claim", "Measured", "Required", "Source"), rows)


def _judge(kind: str, bound, x: np.ndarray, atol: float, rtol: float) -> tuple[np.ndarray, str]:
    """Which of the values keep the bound, and the bound in words. Comparisons with NaN are false."""
    if kind == "equals":
        margin = max(atol, rtol * abs(bound))
        words = f"= {_number(bound)}" + (f" ± {margin:.2g}" if margin else " exactly")
        return np.abs(x - bound) <= margin, words
    if kind in ("increasing", "decreasing"):
        steps = np.diff(x) if kind == "increasing" else -np.diff(x)
        if not len(steps):
            raise ValueError(f"{kind} needs at least two measured values.")
        return np.append(steps > 0, True), f"{kind} from each value to the next"
    if kind == "holds":
        return x == 1, "holds"
    if kind == "between":
        return (x >= bound[0]) & (
            x <= bound[1]
        ), f"between {_number(bound[0])} and {_number(bound[1])}"
    return (x > bound if kind == "above" else x < bound), f"{kind} {_number(bound)}"


def _to_array(measured) -> np.ndarray:
    if hasattr(measured, "detach"):
        measured = measured.detach().cpu().double().numpy()
    values = np.atleast_1d(np.asarray(measured, dtype=float)).ravel()
    if not len(values):
        raise ValueError("nothing was measured: verify needs at least one number.")
    return values


def _show(claim: Claim) -> None:
    try:
        from IPython import get_ipython
        from IPython.display import display
    except ImportError:
        get_ipython = lambda: None  # noqa: E731
    if get_ipython() is None:
        print(claim)
        return
    record = asdict(claim) | {"holds": claim.holds}
    record["measured"] = record["measured"][:64]  # a ledger needs the spread, not every pixel
    data = {"text/plain": str(claim), "text/html": claim._repr_html_()}
    display(data, raw=True, metadata={"gan_claim": record})


def _number(x: float) -> str:
    text = f"{x:.0f}" if float(x).is_integer() and abs(x) < 1e6 else f"{x:.4g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text
