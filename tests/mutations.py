"""Bugs that chapters must notice. `make mutate` plants them one at a time and expects red."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutation:
    """One edit of `gan_lib`: `old` occurs exactly once in `file` and becomes `new`."""

    name: str
    file: str
    old: str
    new: str
    why: str = ""


REGISTRY = ()

MUTATIONS = {mutation.name: mutation for mutation in REGISTRY}


def occurrences(mutation, root):
    """How often the text to replace occurs; anything but 1 makes the mutation void."""
    return Path(root, mutation.file).read_text(encoding="utf-8").count(mutation.old)


def apply(mutation, root):
    """Plant the bug in the copy of the repository's `gan_lib` under `root`."""
    if occurrences(mutation, root) != 1:
        raise ValueError(
            f"Mutation {mutation.name!r}: its text must occur exactly once in {mutation.file}, "
            f"but occurs {occurrences(mutation, root)} times; update tests/mutations.py."
        )
    file = Path(root, mutation.file)
    text = file.read_text(encoding="utf-8")
    file.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
