"""The built site in a real browser: quiet, offline, accessible, on phones and in the dark.

Build it first (`make book`; `make test` does).
"""

import functools
import http.server
import re
import threading
import urllib.parse

import pytest
from axe_playwright_python.sync_playwright import Axe

from tests.browser import Visit, chromium
from tools.paths import HTML

PAGE_LIMIT = 1_500_000
GENERATED = {"search.html", "genindex.html", "py-modindex.html", "prf-prf.html"}
PAGES = sorted(
    path.relative_to(HTML).as_posix()
    for path in HTML.rglob("*.html")
    if "_static" not in path.parts and path.name not in GENERATED
)

# Rules that a page may break, each with the elements it is about and the reason.
KNOWN = []

OVERFLOW = """() => {
  const limit = document.documentElement.clientWidth;
  const wide = [...document.querySelectorAll('.bd-article *')].filter(e => {
    if (e.getBoundingClientRect().right <= limit + 1) return false;
    for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
      if (getComputedStyle(p).overflowX !== 'visible') return false;
    return true;
  });
  const culprits = wide.slice(0, 5).map(e => e.outerHTML.slice(0, 120));
  return [document.documentElement.scrollWidth, culprits];
}"""

# Shows what a reader can unfold; without animations, whose half-way colours are nobody's choice.
UNFOLD = """() => {
  const still = document.createElement('style');
  still.textContent = '* { animation: none !important; transition: none !important; }';
  document.head.append(still);
  for (const box of document.querySelectorAll('details')) box.open = true;
  for (const box of document.querySelectorAll('.toggle-hidden')) {
    box.classList.remove('toggle-hidden');
  }
}"""

# Code has thousands of coloured words in a dozen colours: one of each kind is enough to look at.
ONE_WORD_OF_EACH_COLOUR = """() => {
  const seen = new Set();
  for (const word of document.querySelectorAll('.highlight span')) {
    if (seen.has(word.className)) word.replaceWith(...word.childNodes);
    else seen.add(word.className);
  }
}"""

# The ledger has more than a thousand rows of a few kinds: three of each kind in every list.
THREE_ROWS_OF_EACH_KIND = """() => {
  for (const list of document.querySelectorAll('.gan-ledger ul')) {
    const seen = {};
    for (const row of list.querySelectorAll('li')) {
      seen[row.className] = (seen[row.className] || 0) + 1;
      if (seen[row.className] > 3) row.remove();
    }
  }
}"""

pytestmark = pytest.mark.skipif(not HTML.exists(), reason="the site is not built: run `make book`")


class Quiet(http.server.SimpleHTTPRequestHandler):
    """A file server without a line for each request."""

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def origin():
    """The built site on a local port."""
    handler = functools.partial(Quiet, directory=str(HTML))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    """One browser for all tests of this file."""
    with chromium() as running:
        yield running


@pytest.fixture
def visit(browser, origin):
    """A watched page at desktop size."""
    with Visit(browser, origin, viewport={"width": 1280, "height": 900}) as watched:
        yield watched


@pytest.mark.parametrize("name", PAGES)
def test_page_is_quiet_offline_and_typeset(visit, origin, name):
    page = visit.open(origin + name)
    formulas = page.locator(".math").count()
    assert page.locator(".math mjx-container").count() == formulas, "formulas left untypeset"
    broken = page.locator("mjx-merror, [data-mjx-error]").all_inner_texts()
    assert not broken, f"TeX errors: {broken}"
    images = page.eval_on_selector_all(
        "img", "all => all.filter(i => i.complete && !i.naturalWidth).map(i => i.src.slice(0, 99))"
    )
    assert not images, f"pictures that do not show: {images}"
    assert not visit.troubles, visit.troubles


def axe_violations(page, rules=None):
    """(rule, element, message) for each violation that is not a known one."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {})
    found = []
    for violation in Axe().run(page, options=options).response["violations"]:
        for node in violation["nodes"]:
            if not any(violation["id"] == rule and part in node["html"] for rule, part, _ in KNOWN):
                found.append((violation["id"], node["html"][:200], node["failureSummary"][:300]))
    return found


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_page_is_accessible(visit, origin, name, theme):
    visit.page.add_init_script(f"localStorage.mode = localStorage.theme = '{theme}'")
    page = visit.open(origin + name)
    assert page.evaluate("document.documentElement.dataset.theme") == theme
    page.evaluate(UNFOLD)
    page.evaluate(ONE_WORD_OF_EACH_COLOUR)
    page.evaluate(THREE_ROWS_OF_EACH_KIND)
    # A theme changes colours only, so the other rules need one look.
    found = axe_violations(page, ["color-contrast"] if theme == "dark" else None)
    assert not found, f"{len(found)} violations\n" + "\n".join(map(str, found[:8]))


@pytest.mark.parametrize("name", PAGES)
def test_page_fits_a_phone(browser, origin, name):
    with Visit(browser, origin, viewport={"width": 390, "height": 844}) as phone:
        page = phone.open(origin + name)
        page.evaluate(UNFOLD)
        width, culprits = page.evaluate(OVERFLOW)
        assert width <= 390 and not culprits, f"{width} px wide: {culprits}"


def search(page, word):
    """Type a word into the search page; the number of results that appear."""
    page.locator("form input[name=q]").last.fill(word)
    page.locator("form input[name=q]").last.press("Enter")
    page.wait_for_selector("#search-results ul.search li", timeout=20_000)
    return page.locator("#search-results ul.search li").count()


def test_search_finds_pages(visit, origin):
    assert search(visit.open(origin + "search.html"), "data") >= 1
    assert not visit.troubles, visit.troubles


def test_site_works_from_a_folder(browser):
    folder = HTML.as_uri() + "/"
    with Visit(browser, folder, viewport={"width": 1280, "height": 900}) as visit:
        chapter = next((name for name in PAGES if "/" in name), PAGES[0])
        page = visit.open(folder + chapter)
        assert page.locator(".math mjx-container").count() == page.locator(".math").count()
        assert search(visit.open(folder + "search.html"), "data") >= 1
        assert not visit.troubles, visit.troubles


@pytest.mark.parametrize("name", PAGES)
def test_internal_links_lead_somewhere(name):
    source = HTML / name
    for link in re.findall(r'href="([^"]+)"', source.read_text(encoding="utf-8")):
        address = urllib.parse.urlsplit(link.replace("&amp;", "&"))
        if address.scheme or address.netloc:
            continue
        path = urllib.parse.unquote(address.path)
        target = (source.parent / path).resolve() if path else source
        assert target.exists(), f"dead link {link}"
        if address.fragment and target.suffix == ".html":
            text = target.read_text(encoding="utf-8")
            anchor = re.escape(urllib.parse.unquote(address.fragment))
            assert re.search(rf'\b(id|name)="{anchor}"', text), f"dead anchor {link}"


@pytest.mark.parametrize("name", PAGES)
def test_page_loads_nothing_from_elsewhere(name):
    text = (HTML / name).read_text(encoding="utf-8")
    tags = re.findall(r"<(?:script|link|img|iframe|video|audio|source)\b[^>]*>", text)
    tags = [t for t in tags if not re.search(r'rel="(?:canonical|author|license)"', t)]
    outside = [t for t in tags if re.search(r'(?:src|href)="(?:https?:)?//', t)]
    assert not outside, outside


@pytest.mark.parametrize("name", PAGES)
def test_page_is_small(name):
    page = HTML / name
    text = page.read_text(encoding="utf-8")
    pictures = {page.parent / src for src in re.findall(r'src="([^":]*_images/[^"]+)"', text)}
    size = page.stat().st_size + sum(p.stat().st_size for p in pictures)
    assert size <= PAGE_LIMIT, f"{size / 1e6:.2f} MB"
