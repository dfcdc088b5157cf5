"""Make `.venv` from `requirements.txt` when it is missing or out of date. Standard library only."""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
STAMP = VENV / "gan-course-setup.txt"


def _wanted():
    digest = hashlib.sha256()
    for name in ("requirements.txt", "constraints.txt", "pyproject.toml"):
        digest.update((ROOT / name).read_bytes())
    return digest.hexdigest()


def _run(what, *arguments):
    print(f"[setup] {what}", flush=True)
    if subprocess.run([str(PYTHON), "-m", "pip", "install", *arguments], cwd=ROOT).returncode:
        raise SystemExit(f"[setup] failed: {what}. The lines above say why; fix it and run again.")


def ensure():
    """Create or update `.venv`; does nothing when it already matches the two files."""
    if sys.version_info < (3, 11):
        raise SystemExit("[setup] The book's exact pins need Python 3.11 or newer to run.")
    if PYTHON.exists() and STAMP.exists() and STAMP.read_text() == _wanted():
        return
    if not PYTHON.exists():
        print(f"[setup] creating {VENV.name} with Python {sys.version.split()[0]}", flush=True)
        try:
            venv.create(VENV, with_pip=True)
        except (subprocess.CalledProcessError, ImportError) as error:
            raise SystemExit(
                "[setup] Python cannot make a virtual environment here; on Debian or Ubuntu run "
                "`apt-get install python3-venv`, then this command again."
            ) from error
    quiet = ["--disable-pip-version-check", *([] if sys.stdout.isatty() else ["--quiet"])]
    pins = str(ROOT / "requirements.txt")
    _run("installing requirements.txt (some 3 GB, a few minutes, once)", *quiet, "-r", pins)
    _run("installing gan_lib, editable", *quiet, "--no-deps", "-e", ".")
    STAMP.write_text(_wanted())
    print("[setup] done", flush=True)


def reexec(arguments):
    """Continue in `.venv` with the same arguments; returns only when already inside it."""
    if Path(sys.prefix).resolve() == VENV.resolve():
        return
    command = [str(PYTHON), "-m", "tools", *arguments]
    if os.name == "nt":  # exec on Windows returns to the shell before the command has ended
        raise SystemExit(subprocess.call(command, cwd=ROOT))
    os.chdir(ROOT)
    os.execv(command[0], command)
