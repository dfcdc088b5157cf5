"""Where things are, and what `_config.yml` says. Needs PyYAML, so only inside `.venv`."""

import functools
import json
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
BUILD = ROOT / "_build"
HTML = BUILD / "html"
TIMES = ROOT / "results" / "times.json"

NUMERIC_PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "sympy",
    "mlxtend",
    "scikit-learn",
    "pot",
    "torchmetrics",
    "matplotlib",
    "pillow",
)


def recorded_times(file=TIMES):
    """What each chapter took when it was last executed; empty when nothing was recorded."""
    return json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}


@functools.cache
def config():
    """The book's `_config.yml` as a dictionary."""
    return yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


def repository_url():
    """The one address of the repository, from `_config.yml`."""
    return config()["repository"]["url"].rstrip("/")


def macros():
    """TeX macros of the book: name -> replacement."""
    return config()["sphinx"]["config"]["mathjax3_config"]["tex"]["macros"]


def chapters(part=None):
    """All chapter notebooks in the order of `_toc.yml`, or those of one part."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    files = [entry["file"] for group in toc["parts"] for entry in group["chapters"]]
    listed = [BOOK / f"{name}.ipynb" for name in files if (BOOK / f"{name}.ipynb").exists()]
    others = sorted(set(BOOK.rglob("*.ipynb")) - set(listed))
    found = [p for p in listed + others if ".ipynb_checkpoints" not in p.parts]
    if part is None:
        return found
    chosen = [p for p in found if p.relative_to(BOOK).parts[0] == part]
    if not chosen:
        known = ", ".join(sorted({p.relative_to(BOOK).parts[0] for p in found})) or "none yet"
        raise SystemExit(f"There is no part called {part!r}; the parts are: {known}.")
    return chosen


def chapter_name(path):
    """`book/game/minimax.ipynb` -> `game/minimax`."""
    path = Path(path).resolve()
    base = BOOK if path.is_relative_to(BOOK) else path.parent
    return path.relative_to(base).with_suffix("").as_posix()
