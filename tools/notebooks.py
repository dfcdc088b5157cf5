"""Notebook files: one canonical form, the Colab cell, and conversion from and to MyST text."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import jupytext
import nbformat

from tools.paths import macros, repository_url

KERNELSPEC = {"display_name": "Python 3", "language": "python", "name": "python3"}
CELL_METADATA = ("tags", "mystnb")

COLAB_CELL = """\
# On Google Colab only: fetch the course's library. PyTorch and NumPy stay as Colab ships them.
import importlib.util
import subprocess
import sys

if "google.colab" in sys.modules and importlib.util.find_spec("gan_lib") is None:
    source = "gan_lib @ git+{url}"
    others = ["mlxtend", "pot", "torchmetrics", "lightning-utilities"]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", source, *others]
    subprocess.run(pip, check=False)
    importlib.invalidate_caches()
    if importlib.util.find_spec("gan_lib") is None:
        raise ImportError(
            "gan_lib could not be installed. Check that this runtime has internet access, then "
            "run this cell again."
        )
"""


def read(path):
    """Read a notebook (any nbformat 4 minor version) as nbformat's dictionary."""
    return nbformat.read(path, as_version=4)


def code_cells(nb):
    """The code cells that hold anything."""
    return [c for c in nb.cells if c.cell_type == "code" and c.source.strip()]


def tags(cell):
    """Tags of a cell, as a list."""
    return cell.metadata.get("tags", [])


def dumps(nb):
    """Canonical text of a notebook: sorted keys, one-space indent, newline at the end."""
    return nbformat.writes(nb, version=4, indent=1).rstrip("\n") + "\n"


def write(nb, path):
    """Write atomically, so that an interrupted run never leaves half a notebook."""
    temporary = path.with_name(path.name + ".part")
    temporary.write_text(dumps(nb), encoding="utf-8", newline="\n")
    temporary.replace(path)


def digest(value, length=16):
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:length]


def outputs_hash(nb):
    """Hash of every committed output, images and metadata included."""
    return digest([[c.execution_count, c.outputs] for c in code_cells(nb)])


def claim_outputs(nb):
    """(record, output) of each claim that `verify` left in the outputs, in their order."""
    outputs = [o for cell in nb.cells for o in cell.get("outputs", [])]
    records = [(o.get("metadata", {}).get("gan_claim"), o) for o in outputs]
    return [(with_numbers(record), output) for record, output in records if record]


def with_numbers(record):
    """A claim's record as `verify` wrote it: JSON has no infinity, so a kernel stored the word "inf"."""
    return record | {"measured": [float(value) for value in record["measured"]]}


def title(path):
    """The heading of a chapter."""
    return next(c.source for c in read(path).cells if c.source.startswith("# ")).splitlines()[0][2:]


def normalise(nb):
    """The canonical form of a notebook (a new object); applying it twice changes nothing."""
    nb = nbformat.from_dict(json.loads(json.dumps(nb)))
    book = nb.metadata.get("gan_book", {})
    nb.metadata = nbformat.from_dict(
        {"gan_book": book, "kernelspec": KERNELSPEC, "language_info": {"name": "python"}}
    )
    nb.nbformat, nb.nbformat_minor = 4, 5
    seen, count = {}, 0
    for cell in nb.cells:
        key = digest(cell.source, 8)
        seen[key] = seen.get(key, 0) + 1
        cell.id = key if seen[key] == 1 else f"{key}-{seen[key]}"
        cell.metadata = {k: cell.metadata[k] for k in CELL_METADATA if cell.metadata.get(k)}
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            executed = cell.execution_count is not None
            count += executed
            _normalise_outputs(cell, count if executed else None)
    return nb


def _normalise_outputs(cell, count):
    cell.execution_count = count
    merged = []
    for output in cell.outputs:
        last = merged[-1] if merged else None
        if output.output_type == "execute_result":
            output.execution_count = count
        if output.output_type == "stream" and last and last.get("name") == output.name:
            last.text += output.text
            continue
        for mime, value in output.get("data", {}).items():
            if mime.startswith("image/") and isinstance(value, str):
                output.data[mime] = value.rstrip("\n") + "\n"
        merged.append(output)
    cell.outputs = merged


def colab_cell():
    """The hidden cell that makes a chapter run on Colab; the same in every chapter."""
    cell = nbformat.v4.new_code_cell(COLAB_CELL.format(url=repository_url()).strip())
    cell.metadata["tags"] = ["hide-cell", "colab"]
    cell.metadata["mystnb"] = {"code_prompt_show": "Show the set-up for Google Colab"}
    return cell


def renew_colab_cell(path):
    """Bring the Colab cell of a chapter up to date; it shows nothing, so nothing has to run again."""
    nb = read(path)
    for cell in nb.cells:
        if "colab" in tags(cell) and cell.source != colab_cell().source:
            cell.source = colab_cell().source
            write(normalise(nb), path)
            return


def with_colab_cell(nb):
    """Put the Colab cell behind the parameters cell, replacing one that is there."""
    nb.cells = [c for c in nb.cells if "colab" not in tags(c)]
    place = [i for i, c in enumerate(nb.cells) if "parameters" in tags(c)]
    if not place:
        raise SystemExit(
            "No cell is tagged `parameters`: begin the code with a cell that sets seed, scale and "
            "device."
        )
    nb.cells.insert(place[0] + 1, colab_cell())
    return nb


def expand_macros(text):
    """Write out the book's TeX macros, which Jupyter, Colab and GitHub do not know."""
    for name, replacement in macros().items():
        text = re.sub(rf"\\{name}(?![A-Za-z])", lambda _, r=replacement: "{" + r + "}", text)
    return text


def contract_macros(text):
    """The reverse of `expand_macros`, for text that a person edits."""
    for name, replacement in macros().items():
        pattern = re.escape("{" + replacement + "}")
        text = re.sub(pattern + r"(?=[A-Za-z])", rf"\\{name} ", text)
        text = re.sub(pattern, rf"\\{name}", text)
    return text


def from_text(draft, path):
    """Convert a MyST draft into a canonical notebook at `path`; outputs are not kept."""
    nb = jupytext.reads(draft.read_text(encoding="utf-8"), fmt="md:myst")
    for cell in nb.cells:
        if cell.cell_type == "markdown":
            cell.source = expand_macros(cell.source)
    path.parent.mkdir(parents=True, exist_ok=True)
    write(normalise(with_colab_cell(nb)), path)
    subprocess.run([sys.executable, "-m", "ruff", "format", "--quiet", str(path)], check=True)
    write(normalise(read(path)), path)


def to_text(path):
    """The MyST text of a notebook, without outputs, the Colab cell and the stored hashes."""
    nb = normalise(read(path))
    nb.cells = [c for c in nb.cells if "colab" not in tags(c)]
    for cell in nb.cells:
        cell.pop("id", None)
        if cell.cell_type == "markdown":
            cell.source = contract_macros(cell.source)
    book = {k: v for k, v in nb.metadata.gan_book.items() if k not in ("inputs", "outputs")}
    nb.metadata = nbformat.from_dict(
        {
            "gan_book": book,
            "kernelspec": KERNELSPEC,
            "jupytext": {"notebook_metadata_filter": "gan_book,kernelspec,-jupytext"},
        }
    )
    return jupytext.writes(nb, fmt="md:myst")


def main(options):
    """Commands `new` and `text`; returns the exit status."""
    path = Path(options.notebook)
    if options.command == "text":
        print(to_text(path), end="")
        return 0
    from_text(Path(options.draft), path)
    print(f"Wrote {path}, not executed. Next: python -m tools execute {path}")
    return 0
