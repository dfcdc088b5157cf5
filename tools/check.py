"""The command `test`: lint, build the site, then one pytest run over everything."""

import subprocess
import sys

from tools import environment, site
from tools.paths import BOOK, ROOT, chapters

NOTEBOOK_TESTS = ["tests/test_notebooks.py", "tests/test_papermill.py"]


def lint():
    """Ruff over code and notebooks; returns the exit status."""
    for arguments in (["check"], ["format", "--check"]):
        print(f"[lint] ruff {' '.join(arguments)}", flush=True)
        status = subprocess.call([sys.executable, "-m", "ruff", *arguments, "."], cwd=ROOT)
        if status:
            fix = "ruff format ." if arguments[0] == "format" else "ruff check --fix ."
            print(f"[lint] failed; `.venv/bin/{fix}` repairs what can be repaired by itself.")
            return status
    return 0


def pytest_command(part, coverage, extra):
    """The one pytest run: two workers, a notebook always stays on one of them."""
    command = [sys.executable, "-m", "pytest"]
    command += [*NOTEBOOK_TESTS, f"--part={part}"] if part else ["tests"]
    if chapters(part):
        command.append(str((BOOK / (part or "")).relative_to(ROOT)))
    command += ["--nbval", "--nbval-current-env", "--nbval-sanitize-with=tests/nbval.cfg"]
    command += ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    if coverage:
        command += ["--cov=gan_lib", "--cov-report=term-missing:skip-covered"]
    return command + list(extra)


def main(part=None, coverage=False, extra=()):
    """Fast failures first; returns the exit status of the first step that fails."""
    environment.prepare()
    status = lint() or (0 if part else site.build())
    if status:
        return status
    return subprocess.call(pytest_command(part, coverage, extra), cwd=ROOT)
