"""The command `pdf`: the whole book as one PDF, printed by Chromium from the built site's pages.

The pages become one document: every id gets the name of its page, and every link between pages
becomes a link inside the document. What was printed is then checked, so a bad PDF is an error.
"""

import posixpath
import re
import shutil
import subprocess
import time
import urllib.parse

import yaml
from bs4 import BeautifulSoup
from pypdf import PdfReader, PdfWriter
from pypdf.generic import NameObject, TextStringObject

from tests.browser import chromium, install_debian
from tools import downloads, site
from tools.paths import BUILD, HTML, ROOT, config

TARGET = BUILD / downloads.PDF
# About files, not about GANs; and a hundred pages of claims, each of which stands in its chapter.
LEFT_OUT = ("downloads", "appendices/claims")
# Controls, the cell for Colab, lists of back links, the films' other frames: of no use on paper.
NOT_ON_PAPER = (
    "script, button, .headerlink, .tag_colab, .gan-users, .gan-ledger-bar, .prev-next-area"
)
REFERRING = ("aria-labelledby", "aria-describedby", "aria-controls", "for")
FOOTER = """<div style="width: 100%; font: 8px sans-serif; color: #57606a; text-align: center">
<span class="pageNumber"></span> / <span class="totalPages"></span></div>"""
PAPER = {
    "format": "A4",
    "margin": {"top": "17mm", "right": "17mm", "bottom": "19mm", "left": "17mm"},
    "print_background": True,
    "display_header_footer": True,
    "header_template": "<span></span>",
    "footer_template": FOOTER,
    "outline": True,
    "tagged": True,
}


def without_letters():
    """Languages of the glossary that no installed font can write; [] where fontconfig is not in use."""
    if not shutil.which("fc-list"):
        return []  # macOS and Windows come with such fonts
    wanted = {"ko": "Korean", "zh-cn": "Chinese"}
    return [n for c, n in wanted.items() if not subprocess.check_output(["fc-list", f":lang={c}"])]


def pages():
    """(part, page) in the order of `_toc.yml`; the first page of a part carries its name."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    found = [("", toc["root"])]
    for part in toc["parts"]:
        names = [e["file"] for e in part["chapters"] if e["file"] not in LEFT_OUT]
        found += [(part["caption"] if name == names[0] else "", name) for name in names]
    return found


def inside(name, page=""):
    """The id, in the one document, of a page or of an id on it."""
    return name.replace("/", "-") + (f"--{page}" if page else "")


def address(href, name, names):
    """Where a link of a page leads in the one document; None when that is not part of it."""
    parts = urllib.parse.urlsplit(href)
    if parts.scheme or parts.netloc:
        return href
    folder = posixpath.dirname(name)
    path = posixpath.normpath(posixpath.join(folder, parts.path)) if parts.path else f"{name}.html"
    target = path.removesuffix(".html")
    known = target in names
    return f"#{inside(target, urllib.parse.unquote(parts.fragment))}" if known else None


def article(part, name, names):
    """The text of one page, ready to stand in the one document."""
    soup = BeautifulSoup((HTML / f"{name}.html").read_text(encoding="utf-8"), "html.parser")
    text = soup.select_one("article.bd-article")
    for useless in text.select(NOT_ON_PAPER):
        useless.decompose()
    for box in text.select("details"):
        box["open"] = ""
    for image in text.select("img[src]"):
        if not image["src"].startswith("data:"):
            image["src"] = posixpath.normpath(posixpath.join(posixpath.dirname(name), image["src"]))
    for link in text.select("a[href]"):
        target = address(link["href"], name, names)
        if target is None:
            del link["href"]
        else:
            link["href"] = target
    for tag in text.select("[id]"):
        if not tag.find_parent("svg"):
            tag["id"] = inside(name, tag["id"])
    for attribute in REFERRING:
        for tag in text.select(f"[{attribute}]"):
            tag[attribute] = " ".join(inside(name, word) for word in tag[attribute].split())
    text["id"] = inside(name)
    if part:
        heading = soup.new_tag("p", attrs={"class": "gan-part"})
        heading.string = part
        text.insert(0, heading)
    return text


def one_document(articles):
    """The HTML of all pages, with the styles and the MathJax of the site."""
    head = BeautifulSoup((HTML / "notation.html").read_text(encoding="utf-8"), "html.parser").head
    styles = head.select("link[rel=stylesheet], style")
    scripts = [s for s in head.select("script") if "mathjax" in str(s).lower()]
    return "\n".join(
        [
            '<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head>',
            f'<meta charset="utf-8"><title>{config()["title"]}</title>',
            *map(str, [*styles, *scripts]),
            '</head><body class="gan-paper"><main class="bd-main"><div class="bd-content">',
            *map(str, articles),
            "</div></main></body></html>",
        ]
    )


def print_document(articles, target):
    """Write the PDF; returns what went wrong in the browser."""
    source = HTML / "_one_document.html"  # beside the styles and pictures that it needs
    source.write_text(one_document(articles), encoding="utf-8")
    try:
        with chromium() as browser:
            page = browser.new_page()
            page.set_default_timeout(0)
            page.goto(source.as_uri(), wait_until="load")
            page.evaluate("async () => { await MathJax.startup.promise }")
            broken = page.locator("mjx-merror, [data-mjx-error]").all_inner_texts()
            left = page.locator(".math").count() - page.locator(".math mjx-container").count()
            page.pdf(path=str(target), **PAPER)
    finally:
        source.unlink()
    troubles = [f"TeX error: {text}" for text in broken]
    return troubles + ([f"{left} formulas are not typeset"] if left else [])


def headings(articles):
    """The text of every heading, in order, with formulas as the words of their TeX."""
    found = [h.get_text() for a in articles for h in a.select("h1, h2, h3, h4, h5, h6")]
    return [" ".join(re.sub(r"\\operatorname|\\[(),]|[{}\\]", "", text).split()) for text in found]


def dead_links(articles):
    """Links inside the document that lead nowhere; the browser would silently drop them."""
    places = {tag["id"] for a in articles for tag in [a, *a.select("[id]")]}
    links = [link["href"] for a in articles for link in a.select("a[href^='#']")]
    return sorted({f"link to nowhere: {href}" for href in links if href[1:] not in places})


def entries(item):
    """The entries of a PDF's outline below one of them, in order."""
    child = item.get("/First")
    while child is not None:
        child = child.get_object()
        yield child
        yield from entries(child)
        child = child.get("/Next")


def mend(path, texts):
    """Give the outline its titles: the browser leaves formulas out, and says some words twice."""
    writer = PdfWriter(clone_from=path)
    outline = list(entries(writer.root_object["/Outlines"].get_object()))
    if len(outline) == len(texts):
        for entry, text in zip(outline, texts, strict=True):
            entry[NameObject("/Title")] = TextStringObject(text)
    writer.add_metadata({"/Title": config()["title"], "/Author": config()["author"]})
    writer.write(path)


def links(reader):
    """(internal destinations, external addresses) of all links of a PDF."""
    internal, external = [], []
    for page in reader.pages:
        for reference in page.get("/Annots") or []:
            mark = reference.get_object()
            action = mark.get("/A", {})
            if "/URI" in action:
                external.append(str(action["/URI"]))
            elif mark.get("/Subtype") == "/Link":
                internal.append(mark.get("/Dest", action.get("/D")))
    return internal, external


def check(path, texts, count):
    """What is wrong with a PDF that should have these headings, on at least `count` pages."""
    reader = PdfReader(path)
    troubles = []
    if len(reader.pages) < count:
        troubles.append(f"only {len(reader.pages)} pages")
    outline = [str(e["/Title"]) for e in entries(reader.root_object["/Outlines"].get_object())]
    if outline != texts:
        missing = [text for text in texts if text not in outline]
        troubles.append(f"the outline is not the list of headings; missing: {missing[:5]}")
    internal, external = links(reader)
    if len(internal) < count:
        troubles.append(f"only {len(internal)} internal links")
    places = reader.named_destinations
    lost = {str(d) for d in internal if d is None or (isinstance(d, str) and d not in places)}
    troubles += [f"link to nowhere: {name}" for name in sorted(lost)]
    local = [a for a in external if not a.startswith(("https://", "http://", "mailto:"))]
    troubles += [f"link to a file: {place}" for place in local]
    empty = [n for n, page in enumerate(reader.pages, 1) if is_empty(page)]
    return troubles + ([f"empty pages: {empty}"] if empty else [])


def is_empty(page):
    """Does a page hold nothing but its number?"""
    number = re.fullmatch(r"\d+ ?/ ?\d+", page.extract_text().strip())
    return bool(number) and not page.images


def make(listed, target):
    """Print the listed pages to a file; returns what is wrong with it."""
    names = {name for _, name in listed}
    articles = [article(part, name, names) for part, name in listed]
    troubles = print_document(articles, target)
    mend(target, headings(articles))
    return troubles + dead_links(articles) + check(target, headings(articles), 2 * len(listed))


def main():
    """Build the site if it is missing, print it, check the result; returns the exit status."""
    if not (HTML / "index.html").exists() and site.build():
        return 1
    began = time.perf_counter()
    if without_letters():
        install_debian("fonts-noto-cjk", "a font for Korean and Chinese")
    boxes = [f"no font for {name}: install one, such as Noto CJK" for name in without_letters()]
    troubles = boxes + make(pages(), TARGET)
    count, size = len(PdfReader(TARGET).pages), TARGET.stat().st_size / 1e6
    took = (time.perf_counter() - began) / 60
    print(f"{TARGET.relative_to(ROOT)}: {count} pages, {size:.1f} MB, made in {took:.1f} minutes.")
    if troubles:
        print(*troubles[:20], f"{len(troubles)} things are wrong with the PDF.", sep="\n")
        return 1
    downloads.offer(TARGET)
    return 0
