"""Build, serve and clean the site."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import time
import webbrowser
from pathlib import Path

from tools import downloads
from tools.notebooks import code_cells, read
from tools.paths import HTML, ROOT, chapter_name, chapters


def never_executed():
    """Chapters that have a code cell without outputs of a run."""
    return [
        chapter_name(path)
        for path in chapters()
        if any(cell.execution_count is None for cell in code_cells(read(path)))
    ]


def build():
    """Build the site; warnings are errors. Returns the exit status."""
    if missing := never_executed():
        names = ", ".join(missing)
        print(f"These chapters were never executed: {names}. Run `make execute` first.")
        return 1
    began = time.perf_counter()
    shutil.rmtree(HTML, ignore_errors=True)  # pages of chapters that are gone; the rest is cached
    program = str(Path(sys.executable).with_name("jupyter-book"))
    command = [program, "build", "book", "--config", "_config.yml"]
    command += ["--toc", str(ROOT / "_toc.yml"), "--path-output", ".", "-W", "-n", "--keep-going"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}  # the extensions use `tools`
    status = subprocess.call(command, cwd=ROOT, env=environment)
    if status == 0:
        downloads.make()
        page = HTML / "index.html"
        took = time.perf_counter() - began
        print(f"Built in {took:.0f} s: open {page.relative_to(ROOT)} or run `make serve`.")
    else:  # cached pages would not repeat their warnings, and the next build would pass
        shutil.rmtree(HTML.parent / ".doctrees", ignore_errors=True)
    return status


def serve(port):
    """Serve the built site on this machine until interrupted."""
    if not (HTML / "index.html").exists():
        print("There is no built site yet. Run `make book` first.")
        return 1
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(HTML))
    address = f"http://localhost:{port}/"
    with http.server.ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        print(f"The book is at {address} (Ctrl-C stops it).", flush=True)
        webbrowser.open(address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def clean():
    """Remove everything that the other commands can make again, except `.venv`."""
    for name in ("_build", ".pytest_cache", ".ruff_cache", ".hypothesis", "htmlcov"):
        shutil.rmtree(ROOT / name, ignore_errors=True)
    return 0


def main(options):
    """Commands `book`, `serve` and `clean`; returns the exit status."""
    if options.command == "book":
        return build()
    return serve(options.port) if options.command == "serve" else clean()
