"""The tools themselves: canonical form, staleness, execution that loses nothing, mutations."""

import ast
import importlib.util
import json
import shutil
import subprocess
import sys

import nbformat
import pytest

from tests.mutations import Mutation, apply
from tools import execute, freshness, mutate, notebooks, runner
from tools.paths import ROOT

DRAFT = """\
---
gan_book:
  mutations: [one, two]
kernelspec:
  name: python3
  display_name: Python 3
---

# Title

Text with $\\pdata x$ and $\\E_{x \\sim \\pg}$, not $\\Exp$.

```{code-cell}
:tags: [parameters]

seed = 0
scale = "quick"
device = "auto"
```

```{code-cell}
print("a")
print("b")
1 + 1
```
"""


@pytest.fixture
def draft(tmp_path):
    """A draft in a file."""
    path = tmp_path / "draft.md"
    path.write_text(DRAFT, encoding="utf-8")
    return path


@pytest.fixture
def path(draft, tmp_path):
    """The notebook made of the draft."""
    made = tmp_path / "chapter.ipynb"
    notebooks.from_text(draft, made)
    return made


def test_text_and_notebook_are_the_same_chapter(path, tmp_path):
    again = tmp_path / "again.md"
    again.write_text(notebooks.to_text(path), encoding="utf-8")
    copy = tmp_path / "copy.ipynb"
    notebooks.from_text(again, copy)
    assert copy.read_bytes() == path.read_bytes()
    assert "\\pdata x" in again.read_text(encoding="utf-8")


def test_macros_are_written_out_for_jupyter(path):
    text = notebooks.read(path).cells[0].source
    assert "{p_{\\mathrm{data}}} x" in text and "{\\mathbb{E}}_{x" in text and "\\Exp" in text


def test_normalise_removes_what_a_run_leaves(path):
    nb = notebooks.read(path)
    last = nb.cells[-1]
    last.metadata.update(papermill={"duration": 1.0}, execution={"iopub": 1}, tags=["keep"])
    last.id = "random"
    last.execution_count = 17
    stream = {"output_type": "stream", "name": "stdout"}
    last.outputs = [nbformat.from_dict({**stream, "text": text}) for text in ("a\n", "b\n")]
    nb.metadata.papermill = {"start_time": "now"}
    nb.metadata.language_info = {"name": "python", "version": "3.12.1"}
    clean = notebooks.normalise(nb)
    text = notebooks.dumps(clean)
    assert all(word not in text for word in ("papermill", "iopub", "random", "3.12.1", "17"))
    assert clean.cells[-1].outputs == [{**stream, "text": "a\nb\n"}]
    assert clean.cells[-1].metadata == {"tags": ["keep"]}
    assert notebooks.dumps(notebooks.normalise(clean)) == text


def test_execute_then_fresh_then_identical(path):
    assert "never executed" in freshness.why_stale(path)
    failure, _, _ = execute.execute(path)
    assert failure is None and freshness.why_stale(path) is None
    first = path.read_bytes()
    execute.execute(path)
    assert path.read_bytes() == first


def test_edited_output_and_edited_code_are_stale(path):
    execute.execute(path)
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace('"a\\n",', '"c\\n",'), encoding="utf-8")
    assert "edited by hand" in freshness.why_stale(path)
    path.write_text(text.replace("1 + 1", "1 + 2"), encoding="utf-8")
    assert "changed" in freshness.why_stale(path)
    path.write_text(text.replace("1 + 1", "1 + 1  # a comment"), encoding="utf-8")
    assert freshness.why_stale(path) is None


def test_failure_names_the_cell_and_keeps_the_file(path):
    nb = notebooks.read(path)
    nb.cells[-1].source = "from gan_lib.claims import verify\nverify('no', 1.0, above=2.0)"
    notebooks.write(notebooks.normalise(nb), path)
    before = path.read_bytes()
    failure, _, _ = execute.execute(path)
    assert failure.name == "ClaimError" and "no" in failure.message
    assert "from gan_lib.claims import verify" in str(failure)
    assert path.read_bytes() == before


def test_only_imported_modules_count(tmp_path, monkeypatch):
    library = tmp_path / "gan_lib"
    library.mkdir()
    files = {
        "__init__": "",
        "a": "from . import b\n",
        "b": "def f():\n    return 1\n",
        "c": "x = 1\n",
    }
    for name, text in files.items():
        (library / f"{name}.py").write_text(text)
    monkeypatch.setattr(freshness, "ROOT", tmp_path)
    tree = [ast.parse("from gan_lib import a\n")]
    assert set(freshness.modules_used(tree)) == {"gan_lib", "gan_lib.a", "gan_lib.b"}
    assert set(freshness.modules_used([ast.parse("from gan_lib.c import x")])) == {
        "gan_lib",
        "gan_lib.c",
    }


def test_docstrings_and_comments_do_not_count():
    plain = "def f(x):\n    return x + 1\n"
    described = 'def f(x):\n    """Add one."""\n    return x + 1  # really\n'
    assert freshness.shape(ast.parse(plain)) == freshness.shape(ast.parse(described))
    other = plain.replace("+ 1", "+ 2")
    assert freshness.shape(ast.parse(plain)) != freshness.shape(ast.parse(other))
    json.dumps(freshness.shape(ast.parse(plain)))


def test_runner_passes_parameters_and_reads_claims(path):
    nb = notebooks.read(path)
    nb.cells[-1].source = "from gan_lib.claims import verify\nverify('seed', seed, equals=3)"
    notebooks.write(notebooks.normalise(nb), path)
    assert runner.run(path).failure.name == "ClaimError"
    result = runner.run(path, parameters={"seed": 3})
    assert result.failure is None and len(result.claims) == 1


def test_infinite_measured_values_are_read_back_as_numbers(path):
    """JSON has no infinity, so a kernel writes the word "inf" into the record."""
    nb = notebooks.read(path)
    source = "from gan_lib.claims import verify\nverify('far', [1, float('inf')], above=0)"
    nb.cells[-1].source = source
    notebooks.write(notebooks.normalise(nb), path)
    (far,) = runner.run(path).claims
    assert far["measured"] == [1.0, float("inf")]


def test_mutation_must_fit_exactly_once(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\ny = 1\n")
    apply(Mutation("m", "a.py", "x = 1", "x = 2"), tmp_path)
    assert (tmp_path / "a.py").read_text() == "x = 2\ny = 1\n"
    (tmp_path / "a.py").write_text("x = 1\nx = 1\n")
    with pytest.raises(ValueError, match="exactly once"):
        apply(Mutation("m", "a.py", "x = 1", "x = 2"), tmp_path)


def test_a_bug_in_a_chapter_is_planted_in_a_copy_of_its_code(path, monkeypatch):
    """The text also stands in the prose, which does not count; the chapter's own file stays as it is."""
    nb = notebooks.read(path)
    nb.cells[0].source += "\n\nHere `1 + 1` is prose."
    source = "from gan_lib.claims import verify\ntwo = 1 + 1\nverify('two', two, equals=2)"
    nb.cells[-1].source = source
    notebooks.write(notebooks.normalise(nb), path)
    before = path.read_bytes()
    bug = Mutation("one-off", path.name, "1 + 1", "1 + 2")
    monkeypatch.setitem(mutate.CHAPTER_MUTATIONS, "one-off", bug)
    monkeypatch.setattr(mutate, "ROOT", path.parent)
    shutil.copytree(ROOT / "gan_lib", path.parent / "gan_lib")
    assert mutate.listed(path)[-1] == "one-off"
    caught, seen = mutate.try_one(path, "one-off")
    assert caught and "two" in seen, seen
    assert path.read_bytes() == before


@pytest.fixture
def pip_calls(monkeypatch):
    """What the Colab cell would run, on a machine where `gan_lib` cannot be found."""
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: calls.append(command))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    return calls


def test_colab_cell_does_nothing_elsewhere(pip_calls):
    exec(notebooks.colab_cell().source, {})
    assert pip_calls == []


def test_colab_cell_installs_gan_lib_and_leaves_torch_alone(pip_calls, monkeypatch):
    monkeypatch.setitem(sys.modules, "google.colab", object())
    with pytest.raises(ImportError, match="internet"):
        exec(notebooks.colab_cell().source, {})
    (command,) = pip_calls
    assert "--no-deps" in command and not {"torch", "torchvision", "numpy"} & set(command)
    assert any(word.startswith("gan_lib @ git+https://") for word in command)
