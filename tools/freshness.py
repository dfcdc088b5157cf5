"""When is a notebook stale? When its code, the part of `gan_lib` it imports, or a pin changed."""

import ast
import functools
import re

from tools.notebooks import code_cells, digest, outputs_hash, read, tags
from tools.paths import NUMERIC_PACKAGES, ROOT

IGNORED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores", "type_params"}


@functools.cache
def parsed(text):
    """Syntax tree of a module and its shape; many notebooks ask for the same few modules."""
    tree = ast.parse(text)
    return tree, shape(tree)


def shape(node):
    """A syntax tree as nested lists, without docstrings; the same in every Python version."""
    if isinstance(node, list):
        return [shape(item) for item in node]
    if not isinstance(node, ast.AST):
        return repr(node)
    fields = dict(ast.iter_fields(node))
    if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
        if ast.get_docstring(node, clean=False) is not None:
            fields["body"] = fields["body"][1:]
    kept = [
        [name, shape(value)]
        for name, value in fields.items()
        if name not in IGNORED_FIELDS and value not in (None, [])
    ]
    return [type(node).__name__, *kept]


def module_file(name):
    """`gan_lib.data` -> its file, or None when there is no such module."""
    base = ROOT.joinpath(*name.split("."))
    for candidate in (base.with_suffix(".py"), base / "__init__.py"):
        if candidate.exists():
            return candidate
    return None


def imported(tree, package=""):
    """Names of the `gan_lib` modules that a syntax tree imports, itself inside `package`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(above if node.level else []), *filter(None, [node.module])])
            names.add(base)
            names |= {f"{base}.{alias.name}" for alias in node.names}
    return {n for n in names if n.split(".")[0] == "gan_lib" and module_file(n)}


def modules_used(trees):
    """name -> shape of every `gan_lib` module that is loaded, by way of imports, when these trees run."""
    found, waiting = {}, set().union(*(imported(tree) for tree in trees))
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        file = module_file(name)
        tree, found[name] = parsed(file.read_text(encoding="utf-8"))
        package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        parts = name.split(".")
        waiting |= {".".join(parts[:i]) for i in range(1, len(parts))}
        waiting |= imported(tree, package)
    return found


def pins():
    """The pinned versions of the packages that make the numbers."""
    text = (ROOT / "requirements.txt").read_text(encoding="utf-8")
    lines = {m[1].lower(): m[0] for m in re.finditer(r"(?m)^([\w-]+)==\S+$", text)}
    return [lines[name] for name in NUMERIC_PACKAGES if name in lines]


def inputs_hash(nb):
    """Hash of all that decides a notebook's outputs; comments and docstrings don't count."""
    sources = [c.source for c in code_cells(nb) if "colab" not in tags(c)]
    trees = [ast.parse(source) for source in sources]
    silenced = [source.rstrip().endswith(";") for source in sources]
    return digest(
        [[shape(tree) for tree in trees], silenced, sorted(modules_used(trees).items()), pins()]
    )


def why_stale(path):
    """A sentence saying why a notebook must be executed again, or None when it is fresh."""
    nb = read(path)
    stored = nb.metadata.get("gan_book", {})
    if not stored.get("outputs") or any(c.execution_count is None for c in code_cells(nb)):
        return "never executed as a whole"
    if stored.get("inputs") != inputs_hash(nb):
        return "its code, gan_lib or a pinned package changed"
    if stored["outputs"] != outputs_hash(nb):
        return "its outputs were edited by hand"
    return None


def stamp(nb):
    """Record both hashes in a freshly executed, normalised notebook."""
    nb.metadata.gan_book["inputs"] = inputs_hash(nb)
    nb.metadata.gan_book["outputs"] = outputs_hash(nb)
    return nb
