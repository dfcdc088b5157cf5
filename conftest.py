"""What every test shares: quiet one-thread kernels, the seed of the day, the chapters to run."""

import os
import time
from pathlib import Path

import pytest

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


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """A notebook's cells, and a file's tests, stay together; papermill runs are spread."""
    for item in items:
        if item.path.name != "test_papermill.py":
            item.add_marker(pytest.mark.xdist_group(str(item.path)))
    items.sort(key=_order)
