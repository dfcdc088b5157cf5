"""What every test shares: quiet one-thread kernels, the seed of the day, the chapters to run."""

import functools
from pathlib import Path

import pytest
from xdist.scheduler import LoadScopeScheduling

from tools import environment, failures, rotation
from tools.paths import chapter_name, chapters, recorded_times

environment.prepare()


def pytest_addoption(parser):
    """`--part theory`: the chapters of one part only."""
    parser.addoption("--part", default=None, help="only the chapters of this part of the book")


def pytest_configure(config):
    """Decide what is due before workers start, so that a run over midnight stays one run."""
    rotation.fix()


def pytest_report_header(config):
    """Say what is due today, because it changes from day to day."""
    return rotation.report()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session):
    """The very last lines of a failed run: each failure in short, with the command to see it again."""
    result = yield
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and not hasattr(session.config, "workerinput"):
        stats = reporter.stats
        if failed := [*stats.get("failed", []), *stats.get("error", [])]:
            for line in failures.summary(failed):
                reporter.write_line(line)
    return result


@pytest.fixture
def seed():
    """Seed for the re-run of a chapter."""
    return rotation.seed()


@pytest.fixture
def one_thread():
    """Stored runs were made with one thread, and sums in another order differ."""
    import torch  # here, because most runs of pytest begin without it

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pytest_generate_tests(metafunc):
    """A test that asks for `chapter` runs once for each chapter."""
    if "chapter" in metafunc.fixturenames:
        paths = chapters(metafunc.config.getoption("part"))
        metafunc.parametrize("chapter", paths, ids=[chapter_name(p) for p in paths])


LONG = ("test_papermill.py", "test_rotations.py", "test_colab.py")  # one process a test
SITE = "test_site.py"  # hundreds of short tests, minutes together
TYPICAL_SECONDS = 30


_seconds = functools.cache(recorded_times)


def _order(item):
    """Long runs first, so that two workers end at about the same time; cells keep their order."""
    if item.path.suffix == ".ipynb":
        chapter = item.path
    elif item.path.name in LONG:
        known = getattr(item, "callspec", None)
        chapter = known and (known.params.get("chapter") or known.params.get("path"))
    else:
        return (1 if item.path.name == SITE else 2), 0, "", ""
    name = chapter_name(chapter) if isinstance(chapter, Path) else ""
    return 0, -_seconds().get(name, {}).get("wall_seconds", TYPICAL_SECONDS), str(item.path), name


def pytest_collection_modifyitems(items):
    """The order in which workers take the work."""
    items.sort(key=_order)


class Schedule(LoadScopeScheduling):
    """A notebook's cells, and a file's tests, stay on one worker; long runs and pages are spread."""

    def _split_scope(self, nodeid):
        file = nodeid.split("::", 1)[0]
        return nodeid if file.endswith((*LONG, SITE)) else file


def pytest_xdist_make_scheduler(config, log):
    """Use `Schedule` whenever xdist would group by file."""
    return Schedule(config, log) if config.getvalue("dist") == "loadfile" else None
