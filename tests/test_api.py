"""The appendix documents all of `gan_lib`, and the chapters' code links to it.

What is about built pages needs the site (`make book`; `make test` does it first).
"""

import importlib
import inspect
import pkgutil
import re

import api_links
import pytest
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

import gan_lib
from tools.notebooks import code_cells, read
from tools.paths import BOOK, HTML, chapter_name

APPENDIX = HTML / "appendices" / "api.html"
MODULES = sorted(m.name for m in pkgutil.walk_packages(gan_lib.__path__, "gan_lib.") if not m.ispkg)
built = pytest.mark.skipif(not APPENDIX.exists(), reason="the site is not built: run `make book`")


def public(module):
    """Names of the functions and classes that a module defines for others."""
    return [
        name
        for name, value in vars(module).items()
        if not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


@pytest.mark.parametrize("name", MODULES)
def test_appendix_names_each_module(name):
    assert f".. automodule:: {name}\n" in (BOOK / "appendices/api.md").read_text(encoding="utf-8")


@built
@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_has_its_entry(name):
    page = APPENDIX.read_text(encoding="utf-8")
    wanted = [f"{name}.{member}" for member in public(importlib.import_module(name))]
    missing = [full for full in wanted if f'id="{full}"' not in page]
    assert wanted and not missing, f"without entry (or docstring): {missing}"


@built
def test_appendix_has_no_entries_that_say_nothing():
    assert "Alias for field number" not in APPENDIX.read_text(encoding="utf-8")


@built
def test_code_of_each_chapter_links_to_the_appendix(chapter):
    page = (HTML / f"{chapter_name(chapter)}.html").read_text(encoding="utf-8")
    known, wanted = {}, set()
    for cell in code_cells(read(chapter)):
        wanted |= {api_links.home(name) for _, _, name in api_links.uses(cell.source, known)}
    linked = set(re.findall(r'<a class="gan-api" href="\.\./appendices/api\.html#([^"]+)"', page))
    documented = set(re.findall(r'id="(gan_lib\.[^"]+)"', APPENDIX.read_text(encoding="utf-8")))
    assert wanted & documented <= linked, wanted & documented - linked
    assert len(linked) >= 5


@built
def test_entries_list_the_chapters_that_use_them():
    page = APPENDIX.read_text(encoding="utf-8")
    users = api_links.chapters_using()
    assert len(users["gan_lib.claims.verify"]) > 20
    entry = page[page.index('id="gan_lib.rng.Streams"') :].split("</details>")[0]
    assert f"Used in {len(users['gan_lib.rng.Streams'])} chapters" in entry
    for chapter in users["gan_lib.rng.Streams"]:
        assert f'href="../{chapter}.html"' in entry


def linked(*cells):
    """What is linked in the last of some cells: (name in the address, its text)."""
    known = {}
    for source in cells:
        block = highlight(source, PythonLexer(), HtmlFormatter(nowrap=True))
        page = api_links.link_block(block, known, lambda name: name)
    assert re.sub("</?a[^>]*>", "", page) == block, "linking changed the code"
    found = re.findall(r'<a class="gan-api" href="([^"]+)">(.*?)</a>', page)
    return [(name, re.sub("<[^>]*>", "", text)) for name, text in found]


IMPORTS = "from gan_lib import data, figures as f\nfrom gan_lib.claims import verify\n"


def test_imports_link():
    assert linked(IMPORTS) == [
        ("gan_lib.data", "data"),
        ("gan_lib.claims.verify", "verify"),
    ]


def test_names_link_once_in_each_later_cell():
    use = 'é = "ü & <"; verify(é, data.ring(8)); verify(f.grid(1), data.ring(2))'
    assert linked(IMPORTS, use) == [
        ("gan_lib.claims.verify", "verify"),
        ("gan_lib.data.ring", "data.ring"),
        ("gan_lib.figures.grid", "f.grid"),
    ]


def test_names_with_another_meaning_do_not_link():
    assert linked(IMPORTS, "def g(data):\n    return data.mean()") == []
    assert linked(IMPORTS, "data = 3", "data.ring(1)") == []
    assert linked(IMPORTS, "def g(data):\n    pass", "data.ring(1)") != []
    assert linked(IMPORTS, "train(data=3, verify=1)") == []
    assert linked("import torch as data", "data.ring(1)") == []


def test_what_is_not_python_stays_as_it_is():
    assert linked(IMPORTS, "verify(...,") == []
