"""What this machine is called. Needs nothing outside the standard library."""

import platform
import re
from pathlib import Path


def processor():
    """The processor's name; `platform.processor()` is empty on most Linux systems."""
    info = Path("/proc/cpuinfo")
    found = info.exists() and re.search(r"model name\s*: (.*)", info.read_text(encoding="utf-8"))
    return found[1] if found else platform.processor()
