"""The pages around the chapters: the map is true, the paths can be walked, what is lifted is there."""

import importlib
import itertools
import re

import nbformat
import pytest
import yaml

from tests.browser import chromium
from tools.paths import BOOK, HTML, ROOT, chapter_name, chapters

chapter_map = importlib.import_module("chapter_map")
landing = importlib.import_module("landing")

PARTS = chapter_map.read(BOOK / "map.yml")
KNOWN = chapter_map.chapters(PARTS)
PAGE = (BOOK / "index.md").read_text(encoding="utf-8")
PAGES = sorted(BOOK.glob("*.md"))
PATHS = re.findall(r"### (An? \w+)\n\n```\{learning-path\}\n(.*?)```", PAGE, re.DOTALL)
LIFTED = [
    (page.name, *found)
    for page in PAGES
    for found in re.findall(
        r"```\{(film|claim)\} (\S+)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL
    )
]


def walked(text):
    """The chapters of a learning path, in order."""
    return re.findall(r"\{reading\}`([^`]+)`", text)


def test_map_has_the_parts_and_chapters_of_the_table_of_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    listed = {
        part["caption"]: [
            entry["file"]
            for entry in part["chapters"]
            if (BOOK / f"{entry['file']}.ipynb").exists()
        ]
        for part in toc["parts"]
    }
    drawn = {part["caption"]: [e["file"] for e in part["chapters"]] for part in PARTS}
    assert drawn == {caption: files for caption, files in listed.items() if files}


@pytest.mark.parametrize("name", KNOWN)
def test_what_a_chapter_rests_on_is_linked_in_its_first_cell(name):
    path = BOOK / f"{name}.ipynb"
    first = nbformat.read(path, as_version=4).cells[0].source
    targets = re.findall(r"\(([\w./]+\.ipynb)", first)
    linked = {chapter_name(path.parent / target) for target in targets}
    assert set(KNOWN[name]["rests"]) <= linked


def test_no_chapter_rests_on_itself_and_arrows_lead_down():
    for base, name in chapter_map.edges(PARTS):
        assert KNOWN[base]["at"][1] < KNOWN[name]["at"][1], f"{base} is not above {name}"
    circle = {"a": ["b"], "b": ["a"]}
    parts = [{"chapters": [{"file": name, "rests": rests} for name, rests in circle.items()]}]
    with pytest.raises(ValueError, match="rests on itself"):
        chapter_map.edges(parts)


def test_edges_leave_out_what_follows_from_others():
    rests = {"a": [], "b": ["a"], "c": ["a", "b"], "d": ["c", "a"]}
    parts = [{"chapters": [{"file": name, "rests": bases} for name, bases in rests.items()]}]
    assert chapter_map.edges(parts) == [("a", "b"), ("b", "c"), ("c", "d")]


def test_boxes_do_not_overlap_and_fit_their_words():
    places = [tuple(entry["at"]) for entry in KNOWN.values()]
    assert len(set(places)) == len(places)
    assert all(0 <= column <= 3 and row >= 0 for column, row in places)
    for text in re.findall(r"<text>(.*?)</text>", chapter_map.draw(PARTS, str)):
        words = re.findall(r"<tspan[^>]*>([^<]*)<", text)
        assert len(words) <= 3 and max(map(len, words)) <= 13, words
        name = " ".join(words).replace("– ", "–").lower()
        assert name in {entry["name"].removeprefix("The ").lower() for entry in KNOWN.values()}


def test_map_and_list_name_every_chapter_once():
    drawing, text = chapter_map.draw(PARTS, lambda name: f"at/{name}"), chapter_map.as_list(PARTS)
    for name in KNOWN:
        assert drawing.count(f'href="at/{name}"') == 1
        assert text.count(f"{{reading}}`{name}`: ") == 1


def test_there_are_three_paths_of_the_promised_length():
    times = {
        name: sum(landing.minutes(BOOK / f"{file}.ipynb") for file in walked(text))
        for name, text in PATHS
    }
    assert list(times) == ["An hour", "A weekend", "A term"]
    assert 45 <= times["An hour"] <= 70
    assert 5 * 60 <= times["A weekend"] <= 10 * 60
    assert set(walked(dict(PATHS)["A term"])) == {chapter_name(path) for path in chapters()}


@pytest.mark.parametrize("name", ["A weekend", "A term"])
def test_a_path_keeps_the_order_in_which_chapters_rest_on_each_other(name):
    files = walked(dict(PATHS)[name])
    assert len(set(files)) == len(files)
    for place, file in enumerate(files):
        missing = set(KNOWN[file]["rests"]) - set(files[:place])
        assert not missing, f"{file} comes before {missing}"


def test_exercises_on_the_path_belong_to_the_chapter_in_their_line():
    items = itertools.chain.from_iterable(re.split(r"\n(?=\d+\. )", text) for _, text in PATHS)
    for item in items:
        sources = [(BOOK / f"{file}.ipynb").read_text(encoding="utf-8") for file in walked(item)]
        for label in re.findall(r"\{ref\}`(ex-[^`]+)`", item):
            assert any(f":label: {label}\\n" in source for source in sources), f"{label}: {item}"


def test_reading_times_follow_the_rule_that_the_page_states(tmp_path):
    assert "200 words a minute and half a minute" in PAGE
    book = nbformat.v4.new_notebook()
    hidden = nbformat.v4.new_code_cell("1", metadata={"tags": ["hide-cell"]})
    shown = [nbformat.v4.new_code_cell("1") for _ in range(10)]
    book.cells = [nbformat.v4.new_markdown_cell("word " * 2000), hidden, *shown]
    nbformat.write(book, tmp_path / "a.ipynb")
    assert landing.minutes(tmp_path / "a.ipynb") == 15
    assert landing.spoken(95) == "1 hour 35 minutes" and landing.spoken(120) == "2 hours"


@pytest.mark.parametrize(
    "page,kind,home,rest", LIFTED, ids=[f"{page}-{kind}-{home}" for page, kind, home, _ in LIFTED]
)
def test_what_a_page_lifts_out_of_a_chapter_is_there(page, kind, home, rest):
    path = BOOK / f"{home}.ipynb"
    options = dict(re.findall(r"^:(\w+): ?(.*)$", rest, re.MULTILINE))
    if kind == "film":
        assert landing.film_html(path, options["name"]).startswith('<figure class="gan-film"')
        return
    text = re.sub(r"^:.*\n", "", rest, flags=re.MULTILINE).strip()
    code, html = landing.claim(path, text)
    assert "✓" in html and 'class="measured"' in html
    assert "code" not in options or code.startswith("verify(")


def test_what_is_not_there_is_refused():
    digits = BOOK / "practice" / "digits.ipynb"
    with pytest.raises(LookupError, match="no film"):
        landing.film_html(digits, "digits-bor")
    with pytest.raises(LookupError, match="no claim"):
        landing.claim(digits, "Pigs fly")


@pytest.fixture
def built():
    """The built first page."""
    path = HTML / "index.html"
    if not path.exists() or path.stat().st_mtime < (BOOK / "index.md").stat().st_mtime:
        pytest.skip("the site is not built, or older than its first page: run `make book`")
    return path


def test_the_film_is_on_the_built_page(built):
    page = built.read_text(encoding="utf-8")
    figures = re.findall(r'<figure class="gan-film" id="film-([\w-]+)" data-labels="([^"]*)"', page)
    assert [name for name, _ in figures] == ["digits-born"]
    assert "epoch 0" in figures[0][1] and 'class="gan-film-frames"' in page
    assert page.index("gan-film") < page.index("gan-claim") < page.index('class="gan-map"')


@pytest.mark.parametrize("width,height", [(1280, 900), (390, 844)])
def test_film_and_claim_are_on_the_first_screen(built, width, height):
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": height})
        page.goto(built.as_uri())
        for part in (".gan-film", ".gan-claim .measured"):
            box = page.locator(part).first.bounding_box()
            assert box["y"] + box["height"] <= height, part
