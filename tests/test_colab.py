"""Chapters as on Google Colab: one notebook alone in a folder, and no `gan_lib` until its cell brings it.

The Colab cell runs as it is and calls the real pip: git sends the repository's address to a temporary
copy of the library, and pip finds the other packages as wheels in a folder, all without a network. The
environment is new; it shows the packages of `.venv` except those that the cell has to install.
"""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import nbformat
import pytest

from tools import failures, rotation
from tools.environment import KERNEL_CONFIG
from tools.notebooks import colab_cell, read
from tools.paths import ROOT, chapter_name, chapters, repository_url
from tools.runner import claims_of

# What the cell installs beside gan_lib: package -> what is imported. Colab has mlxtend already
# (https://github.com/googlecolab/backend-info); it is hidden too, to see the cell install it.
BROUGHT = {
    "mlxtend": "mlxtend",
    "POT": "ot",
    "torchmetrics": "torchmetrics",
    "lightning_utilities": "lightning_utilities",
}
RUN = """\
import papermill, sys
papermill.execute_notebook(sys.argv[1], sys.argv[2], kernel_name="python3", progress_bar=False)
"""


def pack(name, folder):
    """Make a wheel of an installed package again, so that pip can install it from a folder."""
    package = metadata.distribution(name)
    tag = package.read_text("WHEEL").partition("Tag: ")[2].split()[0]
    with zipfile.ZipFile(folder / f"{name}-{package.version}-{tag}.whl", "w") as archive:
        for file in package.files:
            if ".." not in file.parts and file.suffix != ".pyc":
                archive.write(file.locate(), file.as_posix())


def publish(folder):
    """A git repository with the library as it is in the working tree: what Colab clones."""
    shutil.copytree(ROOT / "gan_lib", folder / "gan_lib")
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, folder)
    identity = ["-c", "user.name=course", "-c", "user.email=course@example.org"]
    for step in (["init"], ["add", "."], [*identity, "commit", "--message", "library"]):
        subprocess.run(["git", *step], cwd=folder, check=True, capture_output=True)


def show_packages(folder):
    """Links to what is installed in `.venv`, without gan_lib and without what the cell brings."""
    projects = {"gan_lib", *(name.lower() for name in BROUGHT)}
    hidden = {"gan_lib", *BROUGHT.values()}
    for entry in Path(metadata.distribution("pytest").locate_file("")).iterdir():
        project = entry.name.partition("-")[0].lower()
        info = entry.suffix == ".dist-info" and project in projects
        start_up = entry.suffix == ".pth" or entry.name.startswith("__editable__")
        if entry.name not in hidden and not info and not start_up:
            (folder / entry.name).symlink_to(entry)


class Colab:
    """A new machine for each chapter, as each Colab session gets one."""

    def __init__(self, shared, folder):
        self.folder, self.python = folder, folder / "env" / "bin" / "python"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
        (self.site,) = (folder / "env" / "lib").glob("python*/site-packages")
        (self.site / "base.pth").write_text(f"{shared / 'packages'}\n")
        (self.site / "google" / "colab").mkdir(parents=True)
        (self.site / "google" / "colab" / "__init__.py").touch()
        start = folder / "ipython" / "profile_default" / "startup"
        start.mkdir(parents=True)
        (start / "00-colab.py").write_text("import google.colab\n")
        (start.parent / "ipython_kernel_config.py").write_text(KERNEL_CONFIG)
        (folder / "content").mkdir()
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("PYTHON", "PYTEST", "COV", "PIP_", "GIT_", "GAN_DATA"))
        } | {
            "HOME": str(folder),
            "IPYTHONDIR": str(folder / "ipython"),
            "PIP_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(shared / "wheels"),
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "GIT_ALLOW_PROTOCOL": "file",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"url.file://{shared / 'origin'}.insteadOf",
            "GIT_CONFIG_VALUE_0": repository_url(),
        }

    def call(self, *arguments):
        """Python in this environment, from the folder with the one notebook."""
        return subprocess.run(
            [self.python, *arguments],
            cwd=self.folder / "content",
            env=self.environment,
            capture_output=True,
            text=True,
        )

    def run(self, nb):
        """Execute a notebook that is alone in its folder; returns it, and papermill's last words."""
        nbformat.write(nb, self.folder / "content" / "chapter.ipynb")
        done = self.folder / "done.ipynb"
        result = self.call("-c", RUN, "chapter.ipynb", done)
        said = failures.COLOUR.sub("", result.stderr).strip().splitlines() or [""]
        return read(done), said[-1] if result.returncode else ""

    def installed(self):
        """Names of the packages that were installed after the machine was new."""
        return {
            package.metadata["Name"] for package in metadata.distributions(path=[str(self.site)])
        }


@pytest.fixture(scope="session")
def shared(tmp_path_factory):
    """What all of these machines read and none of them changes."""
    folder = tmp_path_factory.mktemp("colab")
    for name in ("wheels", "packages", "origin"):
        (folder / name).mkdir()
    for name in [*BROUGHT, "setuptools"]:
        pack(name, folder / "wheels")
    show_packages(folder / "packages")
    publish(folder / "origin")
    return folder


@pytest.fixture
def colab(shared, tmp_path):
    """A machine on which the library cannot be imported."""
    machine = Colab(shared, tmp_path)
    for name in ("gan_lib", *BROUGHT.values()):
        assert "No module named" in machine.call("-c", f"import {name}").stderr, name
    return machine


NOT_HERE = re.compile(
    r"not here\W+it is in the book's repository"
)  # as chapters say it, or in a table


def lost(done, committed):
    """Claims that were not verified, unless the page says that it lacks the results of a long run."""
    verified = {claim["text"] for claim in claims_of(done)}
    shown = [o for c in done.cells if c.cell_type == "code" for o in c.outputs]
    said = [o.get("text", "") + str(o.get("data", {}).get("text/plain", "")) for o in shown]
    missing = [claim["text"] for claim in committed if claim["text"] not in verified]
    return [] if any(NOT_HERE.search(text) for text in said) else missing


def due_chapters():
    found = rotation.due(chapters(), "GAN_TEST_COLAB")
    return [pytest.param(path, id=chapter_name(path)) for path in found]


@pytest.mark.parametrize("path", due_chapters())
def test_chapter_runs_on_colab(colab, shared, path):
    name, committed = chapter_name(path), claims_of(read(path))
    done, stopped = colab.run(read(path))
    details = failures.what_stopped(stopped) if stopped else []
    if not stopped and (missing := lost(done, committed)):
        details = [failures.row("claim", missing[0])]
        details.append(failures.row("expected", f"{len(committed)} claims, as committed"))
        details.append(failures.row("measured", f"{len(missing)} of them were not verified"))
    if details:
        node = f"tests/test_colab.py::test_chapter_runs_on_colab[{name}]"
        again = f"GAN_TEST_COLAB=all {failures.PYTHON} -m pytest '{node}'"
        pytest.fail(failures.explain(f"{name}, on Colab", details, again), pytrace=False)
    brought = {metadata.metadata(package)["Name"] for package in BROUGHT}
    assert colab.installed() == {"gan_lib"} | brought, "the cell installed something else"
    torch = colab.call("-c", "import torch; print(torch.__file__)").stdout
    assert torch.startswith(str(shared / "packages")), "torch was replaced"


def small(cell, *others):
    """A notebook of a few cells that begins with a Colab cell."""
    sources = [cell.source, *others]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(s) for s in sources])


def test_a_file_of_the_repository_is_not_there(colab):
    nb = small(colab_cell(), "import gan_lib", "open('../../statements.yml').read()")
    _, stopped = colab.run(nb)
    assert "FileNotFoundError" in stopped and "statements.yml" in stopped


@pytest.mark.parametrize(
    "right, wrong",
    [("-m", "-mm"), ("gan_lib @ git+https", "gan_lib @ git+http"), ('"mlxtend"', '"mlxtnd"')],
)
def test_a_slip_in_the_cell_stops_the_chapter(colab, right, wrong):
    cell = colab_cell()
    assert right in cell.source
    cell.source = cell.source.replace(right, wrong)
    _, stopped = colab.run(small(cell, "print('never')"))
    assert "gan_lib could not be installed" in stopped
    assert colab.installed() == set()
