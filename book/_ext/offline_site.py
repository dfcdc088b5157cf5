"""Make the built site work without any network: local MathJax, no Thebe, one friendly button."""

from importlib.metadata import files
from pathlib import Path

from sphinx.util.fileutil import copy_asset

# Of the 24 MB that the package ships these 2 MB are enough for TeX in a browser.
MATHJAX_PARTS = ("tex-mml-chtml.js", "output/chtml/fonts/woff-v2/", "input/tex/extensions/")


def copy_mathjax(app, exception):
    """Copy the needed files of the pinned pip package into `_static/mathjax/`."""
    if exception or app.builder.format != "html":
        return
    marker = "static/mathjax/"
    for file in files("sphinx-mathjax-offline"):
        _, found, inside = file.as_posix().partition(marker)
        if found and inside.startswith(MATHJAX_PARTS):
            target = Path(app.outdir, "_static", "mathjax", inside).parent
            target.mkdir(parents=True, exist_ok=True)
            copy_asset(str(file.locate()), str(target))


def drop_thebe(app, pagename, templatename, context, doctree):
    """Thebe is unused here, and its script (injected twice) throws on every page."""

    def is_thebe(script):
        body = script.attributes.get("body") or ""
        return "thebe" in str(script.filename or "") or "THEBE" in body

    scripts = context.get("script_files", [])
    context["script_files"] = [s for s in scripts if not is_thebe(s)]


def name_issue_button(app, pagename, templatename, context, doctree):
    """The theme says "Open issue"; a reader looks for "Report a mistake"."""
    for group in context.get("header_buttons", []):
        for button in group.get("buttons", []):
            if button.get("label") == "source-issues-button":
                button.update(text="Report a mistake", tooltip="Report a mistake on this page")


def setup(app):
    """Called by Sphinx."""
    app.connect("build-finished", copy_mathjax)
    app.connect("html-page-context", drop_thebe, priority=900)
    app.connect("html-page-context", name_issue_button, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
