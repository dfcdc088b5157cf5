"""A headless Chromium for the tests of the site, and a page that notes whatever goes wrong."""

import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager

from playwright.sync_api import sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def find_chromium():
    """Path of an installed Chrome or Chromium, or None."""
    return next((path for path in map(shutil.which, NAMES) if path), None)


def install_debian(package, what):
    """Install a package, saying so, where that is possible: on Debian, as root. Returns whether it was."""
    if not (hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get")):
        return False
    print(f"Installing Debian's package {package}: {what}.", flush=True)
    command = f"apt-get update -q && apt-get install -y -q --no-install-recommends {package}"
    return subprocess.call(command, shell=True, stdout=subprocess.DEVNULL) == 0


def install_chromium():
    """Install a browser: Debian's package as root, else Playwright's own download."""
    if install_debian("chromium", "no Chrome or Chromium was found"):
        return find_chromium()
    print("No Chrome or Chromium found: downloading the one that Playwright offers.", flush=True)
    subprocess.check_call([sys.executable, "-m", "playwright", "install", "chromium"])
    return None  # Playwright finds its own


@contextmanager
def chromium():
    """A running browser."""
    path = find_chromium() or install_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()


class Visit:
    """One page, watched: script errors, console errors, outside requests, failed requests."""

    def __init__(self, browser, origin, **options):
        self.origin, self.troubles = origin, []
        self.pending, self.asked = (
            set(),
            0.0,
        )  # requests without an answer; when the last one was made
        self.context = browser.new_context(**options)
        self.page = self.context.new_page()
        self.page.on("pageerror", lambda e: self.troubles.append(f"script error: {e}"))
        self.page.on("console", self._console)
        self.page.on("response", self._response)
        self.page.on("request", self._asked)
        self.page.on("requestfinished", lambda r: self.pending.discard(r))
        self.page.on("requestfailed", self._failed)
        self.context.route("**/*", self._route)

    def _asked(self, request):
        self.pending.add(request)
        self.asked = time.monotonic()

    def _failed(self, request):
        self.pending.discard(request)
        self.troubles.append(f"request failed: {request.url}")

    def _console(self, message):
        if message.type == "error":
            self.troubles.append(f"console error: {message.text}")

    def _response(self, response):
        if response.status >= 400:
            self.troubles.append(f"status {response.status}: {response.url}")

    def _route(self, route):
        if route.request.url.startswith((self.origin, "data:", "blob:")):
            return route.continue_()
        self.troubles.append(f"outside request: {route.request.url}")
        return route.abort()

    def open(self, url):
        """Go to a page and wait until its formulas are typeset."""
        self.page.goto(url, wait_until="load")
        self.page.evaluate("async () => { if (window.MathJax) await MathJax.startup.promise }")
        return self.page

    def settle(self, seconds=30, quiet=0.5):
        """Wait until all requests are answered and none is made for a while: leaving earlier stops some."""
        end = time.monotonic() + seconds
        while self.pending or time.monotonic() < self.asked + quiet:
            assert time.monotonic() < end, (
                f"no answer in {seconds} s: {[r.url for r in self.pending]}"
            )
            self.page.wait_for_timeout(50)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.close()
