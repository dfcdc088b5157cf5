"""Two ZIP archives, made after the site: the notebooks with what they need, and the site itself.

The same files give the same bytes: names are sorted and the timestamps are fixed.
"""

import re
import shutil
import zipfile

from tools.paths import BOOK, BUILD, HTML, ROOT, chapters, config

FOLDER = BUILD / "downloads"
NOTEBOOKS, SITE, PDF = "gan-course-notebooks.zip", "gan-course-site.zip", "gan-course.pdf"
PAGE = "downloads.html"
SHELF = "_static/downloads"  # where the site keeps its copies
BESIDE = ("LICENSE", "LICENSE-text", "pyproject.toml")

README = """\
# {title}: the notebooks

Every chapter of the course as a notebook, with its outputs, and the library `gan_lib` that they run on.
You need Python 3.10 or later. In this folder:

    python -m venv .venv
    .venv/bin/python -m pip install . jupyterlab sympy
    .venv/bin/python -m jupyterlab book

On Windows write `.venv\\Scripts\\python` for `.venv/bin/python`. The second line installs PyTorch,
which is large, and `gan_lib`. The third opens Jupyter in your browser: choose a part, then a chapter, then
"Run All Cells".

- `book/`: the chapters, one folder for each part. The first code cell sets `seed`, `scale` and `device`.
- `gan_lib/`: the library. Do you want to change it? Install it with `pip install -e .` instead.
- `results/`: numbers of long runs, which some chapters show.

The book, its tests and its history: {url}
"""


def notebook_files():
    """Name in the archive -> content."""
    title, url = config()["title"], config()["repository"]["url"]
    files = {"README.md": README.format(title=title, url=url).encode()}
    paths = [ROOT / name for name in BESIDE] + [*chapters(), *BOOK.rglob("*.md")]
    paths += [*(ROOT / "results").glob("*.json")]
    paths += [p for p in (ROOT / "gan_lib").rglob("*") if p.suffix in (".py", ".json", ".npz")]
    return files | {p.relative_to(ROOT).as_posix(): p.read_bytes() for p in paths}


def site_files():
    """Name in the archive -> content. It has no ZIPs: its page about downloads says so."""
    shelf = HTML / SHELF
    paths = [p for p in HTML.rglob("*") if p.is_file() and shelf not in p.parents]
    files = {p.relative_to(HTML).as_posix(): p.read_bytes() for p in paths}
    if PAGE in files:
        words = dict.fromkeys((NOTEBOOKS, SITE, PDF), "not part of a downloaded copy")
        files[PAGE] = fill(files[PAGE].decode(), words).encode()
    return files


def pack(path, files):
    """Write an archive with one folder, named like the archive, that holds the files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(f"{path.stem}/{name}")  # of the year 1980, always
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, files[name])


def fill(page, words):
    """Put words, or links, into the page's places for downloads."""
    for name, text in words.items():
        place = rf'(<span data-download="{re.escape(name)}">).*?(</span>)'
        page = re.sub(place, lambda found, text=text: found[1] + text + found[2], page)
    return page


def link(name):
    """A link to a file on the shelf, with its size."""
    size = (HTML / SHELF / name).stat().st_size / 1e6
    return f'<a href="{SHELF}/{name}" download>{name}</a> ({size:.1f} MB)'


def make():
    """Make both archives, put copies into the site and say their sizes on its page."""
    pack(FOLDER / NOTEBOOKS, notebook_files())
    pack(FOLDER / SITE, site_files())
    for name in (NOTEBOOKS, SITE):
        offer(FOLDER / name)


def offer(path):
    """Copy a file to the shelf of the built site, and link it on the site's page."""
    page = HTML / PAGE
    if not page.exists():
        return
    (HTML / SHELF).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, HTML / SHELF / path.name)
    text = fill(page.read_text(encoding="utf-8"), {path.name: link(path.name)})
    page.write_text(text, encoding="utf-8")
