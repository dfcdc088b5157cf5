"""Run one notebook with papermill and say clearly what went wrong, if anything did."""

import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError

from tools import environment
from tools.notebooks import claim_outputs, read
from tools.paths import chapter_name

CELL_TIMEOUT = 1800

# As a first cell: a claim that fails is shown and recorded as ever, but the chapter goes on to the next.
GO_ON = """\
import gan_lib.claims
_strict = gan_lib.claims.verify
def _going_on(*args, **kwargs):
    try:
        _strict(*args, **kwargs)
    except gan_lib.claims.ClaimError:
        pass
gan_lib.claims.verify = _going_on
"""

# As a first cell: no pictures are drawn, where nobody would see them.
NO_PICTURES = """\
import gan_lib.film, matplotlib
matplotlib.use("agg")
gan_lib.film.film = gan_lib.film.slider = lambda *args, **kwargs: None
"""


@dataclass(frozen=True)
class Failure:
    """Where and why a run stopped."""

    cell: int
    source: str
    name: str
    message: str

    def __str__(self):
        first = next((line for line in self.source.splitlines() if line.strip()), "")
        return f"cell {self.cell} ({first.strip()!r}): {self.name}: {self.message}"


@dataclass(frozen=True)
class Result:
    """An executed notebook, the claims it recorded, and its failure if it has one."""

    nb: object
    failure: Failure | None = None
    claims: list = field(default_factory=list)


def claims_of(nb):
    """The records that `verify` left in the metadata of the outputs."""
    return [record for record, _ in claim_outputs(nb)]


def run(path, parameters=None, first_cell=None, edited=None):
    """Execute a notebook, or an edited copy in its place, from its own folder; no file is touched."""
    environment.prepare()
    path = Path(path).resolve()
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder, "in.ipynb"), Path(folder, "out.ipynb")
        nb = read(edited or path)
        if first_cell:
            nb.cells.insert(0, nbformat.v4.new_code_cell(first_cell))
        nbformat.write(nb, source)
        failure = None
        try:
            papermill.execute_notebook(
                str(source),
                str(target),
                parameters=parameters or {},
                cwd=str(path.parent),
                progress_bar=False,
                kernel_name="python3",
                execution_timeout=CELL_TIMEOUT,
            )
        except PapermillExecutionError as error:
            failure = Failure(error.cell_index, error.source, error.ename, error.evalue)
        except Exception as error:  # a dead kernel or a timeout: not an error raised by a cell
            failure = Failure(-1, "", type(error).__name__, f"{chapter_name(path)}: {error}")
        executed = read(target) if target.exists() else nb
    return Result(executed, failure, claims_of(executed))


def run_with_path(path, folder, first_cell, edited=None):
    """`run` with `folder` first on the kernel's import path."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), before]))
    try:
        return run(path, first_cell=first_cell, edited=edited)
    finally:
        os.environ.pop("PYTHONPATH")
        if before is not None:
            os.environ["PYTHONPATH"] = before
