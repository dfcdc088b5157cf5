"""The ZIP archives, unzipped far from the repository: a chapter runs, the site opens from its folder.

Build the site first (`make book`; `make test` does).
"""

import re
import subprocess
import sys
import zipfile

import pytest

from tests.browser import Visit, chromium
from tools import downloads, runner
from tools.notebooks import read
from tools.paths import BOOK, HTML, chapters

CHAPTER = "book/f_gan/f_divergences.ipynb"  # one of the quickest to run
BUILT = HTML / downloads.SHELF
pytestmark = pytest.mark.skipif(not BUILT.exists(), reason="no downloads: run `make book`")


def unzip(name, folder):
    """The one folder that the archive makes."""
    with zipfile.ZipFile(BUILT / name) as archive:
        archive.extractall(folder)
    (made,) = folder.iterdir()
    return made


@pytest.fixture(scope="module")
def notebooks(tmp_path_factory):
    return unzip(downloads.NOTEBOOKS, tmp_path_factory.mktemp("notebooks"))


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return unzip(downloads.SITE, tmp_path_factory.mktemp("site"))


def test_the_same_files_give_the_same_bytes(tmp_path):
    files = {"b/two.txt": b"2" * 999, "a.txt": b"1"}
    downloads.pack(tmp_path / "one" / "x.zip", files)
    downloads.pack(tmp_path / "two" / "x.zip", dict(reversed(files.items())))
    first, second = ((tmp_path / n / "x.zip").read_bytes() for n in ("one", "two"))
    assert first == second
    assert zipfile.ZipFile(tmp_path / "one" / "x.zip").namelist() == ["x/a.txt", "x/b/two.txt"]


def test_the_notebooks_are_all_there_and_are_today_s(notebooks):
    for path in chapters():
        assert (notebooks / "book" / path.relative_to(BOOK)).read_bytes() == path.read_bytes()


def test_links_between_the_notebooks_lead_somewhere(notebooks):
    for path in notebooks.rglob("*.ipynb"):
        text = "\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")
        for target in re.findall(r"\]\(([\w./-]+\.(?:ipynb|md))[)#]", text):
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_a_chapter_runs_as_the_readme_says(notebooks, tmp_path):
    readme = (notebooks / "README.md").read_text(encoding="utf-8")
    assert "pip install . jupyterlab" in readme and "{" not in readme
    # `pip install .` into an empty folder; what gan_lib requires is taken from this environment.
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    pip += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(tmp_path), "."]
    subprocess.run(pip, cwd=notebooks, check=True)
    from_there = f"import gan_lib\nassert gan_lib.__file__.startswith({str(tmp_path)!r})"
    result = runner.run_with_path(notebooks / CHAPTER, tmp_path, from_there)
    assert result.failure is None, result.failure
    committed = runner.claims_of(read(notebooks / CHAPTER))
    assert len(result.claims) == len(committed) > 0


def test_chapters_find_the_stored_results(notebooks):
    readers = [
        p for p in (notebooks / "book").rglob("*.ipynb") if '"../../results"' in read_code(p)
    ]
    assert readers
    for path in readers:
        for name in set(re.findall(r"results/(\w+\.json)", read_code(path))):
            assert (path.parent / "../../results" / name).resolve().is_file(), name


def read_code(path):
    """All code of a notebook."""
    return "\n".join(c.source for c in read(path).cells if c.cell_type == "code")


def test_the_unzipped_site_works_from_its_folder(site):
    folder = site.as_uri() + "/"
    with chromium() as browser, Visit(browser, folder) as visit:
        for name in ("index.html", CHAPTER.removeprefix("book/").replace(".ipynb", ".html")):
            page = visit.open(folder + name)
            assert page.locator(".math mjx-container").count() == page.locator(".math").count() > 0
            visit.settle()
        film = page.locator(".gan-film").first
        labels = []
        for key in ("Home", "End"):
            film.locator("input[type=range]").press(key)
            labels.append(film.locator("output").inner_text())
        assert labels[0] != labels[1], "the slider does not move its film"
        other = page.locator("article a[href^='../'][href$='.html']").first
        target = other.evaluate("a => a.href")
        other.click()
        page.wait_for_url(target)
        visit.settle()
        assert page.locator("article h1").count() == 1
        page = visit.open(folder + "search.html")
        page.locator("form input[name=q]").last.fill("divergence")
        page.locator("form input[name=q]").last.press("Enter")
        page.wait_for_selector("#search-results ul.search li", timeout=20_000)
        assert not visit.troubles, visit.troubles


def test_the_page_says_sizes_and_the_copy_does_not_pretend(site):
    page = (HTML / downloads.PAGE).read_text(encoding="utf-8")
    for name in (downloads.NOTEBOOKS, downloads.SITE):
        size = f"({(BUILT / name).stat().st_size / 1e6:.1f} MB)"
        assert re.search(rf'href="{downloads.SHELF}/{name}" download>{name}</a> \S+ MB\)', page)
        assert size in page
    copy = (site / downloads.PAGE).read_text(encoding="utf-8")
    assert downloads.SHELF not in copy and copy.count("not part of a downloaded copy") == 3
    assert not (site / downloads.SHELF).exists()
