"""What every test shares: quiet one-thread kernels, the seed of the day, the chapters to run."""

import os
import time
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tools import environment
from tools.paths import chapter_name, chapters

environment.prepare()


def test_seed():
    """The seed of the papermill runs: 1 to 9, another one each day, or GAN_TEST_SEED."""
    return int(os.environ.get("GAN_TEST_SEED") or 1 + int(time.time() // 86400) % 9)


def pytest_addoption(parser):
    """`--part theory`: the chapters of one part only."""
    parser.addoption("--part", default=None, help="only the chapters of this part of the book")


def pytest_configure(config):
    """Fix the seed before workers start, so that a run over midnight stays one run."""
    os.environ["GAN_TEST_SEED"] = str(test_seed())


def pytest_report_header(config):
    """Say which seed the notebooks get, because it changes from day to day."""
    return f"notebooks are re-run with seed {test_seed()} (choose another with GAN_TEST_SEED=n)"


@pytest.fixture
def seed():
    """Seed for the re-run of a chapter."""
    return test_seed()


def pytest_generate_tests(metafunc):
    """A test that asks for `chapter` runs once for each chapter."""
    if "chapter" in metafunc.fixturenames:
        paths = chapters(metafunc.config.getoption("part"))
        metafunc.parametrize("chapter", paths, ids=[chapter_name(p) for p in paths])


def _order(item):
    """Long runs first, so that two workers end at about the same time."""
    if item.path.name == "test_papermill.py":
        callspec = getattr(item, "callspec", None)  # absent when the book has no chapter yet
        chapter = callspec and callspec.params.get("chapter")
        return 0, -chapter.stat().st_size if isinstance(chapter, Path) else 0
    if item.path.suffix == ".ipynb":
        return 1, -item.path.stat().st_size
    return (2, 0) if item.path.name == "test_site.py" else (3, 0)


def pytest_collection_modifyitems(items):
    """The order in which workers take the work; a notebook's cells keep theirs."""
    items.sort(key=_order)


class Schedule(LoadScopeScheduling):
    """A notebook's cells, and a file's tests, stay on one worker; papermill runs are spread."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::", 1)[0]
        return nodeid if file.endswith("test_papermill.py") else file


def pytest_xdist_make_scheduler(config, log):
    """Use `Schedule` whenever xdist would group by file."""
    return Schedule(config, log) if config.getvalue("dist") == "loadfile" else None
