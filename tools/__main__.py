"""`python -m tools <command>`: everything `make` does, on machines with and without make."""

import argparse
import subprocess
import sys

from tools import bootstrap

COMMANDS = {
    "book": "build the site into _build/html (sets up .venv first)",
    "test": "lint, build, then every test: library, notebooks, site (--part theory: one part)",
    "execute": "run the notebooks that are stale and write their outputs back",
    "mutate": "plant known bugs in gan_lib and see that the chapters notice",
    "ledger": "run what the ledger lacks: chapters over seeds 0-9 and under their mutations",
    "upgrade-report": "run the chapters with other package versions (scipy==1.16.3 ...), say what moved",
    "serve": "show the built site on http://localhost:8000",
    "lab": "open the chapters in JupyterLab",
    "bench": "measure the speed of training against a hand-written loop",
    "new": "turn a MyST draft into a notebook: new draft.md book/part/name.ipynb",
    "text": "print a notebook as MyST text for editing: text book/part/name.ipynb",
    "pdf": "print the built site as one PDF, _build/gan-course.pdf, and check it",
    "clean": "remove what was built (not .venv)",
    "setup": "only make or update .venv",
}


def parser():
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m tools", description=__doc__)
    commands = top.add_subparsers(dest="command", metavar="command")
    made = {name: commands.add_parser(name, help=text) for name, text in COMMANDS.items()}
    made["execute"].add_argument("notebook", nargs="*", help="only these notebooks")
    made["execute"].add_argument("--force", action="store_true", help="also the fresh ones")
    made["execute"].add_argument("--processes", type=int, default=2)
    made["ledger"].add_argument("--notebook", help="one chapter, as `game/minimax`")
    made["ledger"].add_argument("--kind", choices=("seeds", "mutations"), help="only these runs")
    made["ledger"].add_argument("--processes", type=int, default=2)
    for name in ("execute", "test", "mutate", "ledger"):
        made[name].add_argument("--part", help="one part of the book, as `theory`")
    made["test"].add_argument("--cov", action="store_true", help="measure coverage of gan_lib")
    made["mutate"].add_argument("--notebook", help="one chapter, as `game/minimax`")
    made["mutate"].add_argument("--mutation", help="one mutation, by name")
    made["mutate"].add_argument("--battery", action="store_true", help="under the unit tests")
    made["upgrade-report"].add_argument("pins", nargs="*", help="name==version; none: the newest")
    made["upgrade-report"].add_argument("--notebook", help="chapters, as `game/minimax,f_gan/x`")
    made["upgrade-report"].add_argument("--part", help="one part of the book, as `theory`")
    made["upgrade-report"].add_argument("--processes", type=int, default=2)
    made["serve"].add_argument("--port", type=int, default=8000)
    made["new"].add_argument("draft")
    made["new"].add_argument("notebook")
    made["text"].add_argument("notebook")
    return top


def dispatch(options, rest):
    """Run one command inside `.venv`; returns its exit status."""
    if options.command == "setup":
        return 0
    if options.command == "execute":
        from tools import execute

        return execute.main(options.notebook, options.part, options.force, options.processes)
    if options.command == "mutate":
        from tools import mutate

        return mutate.main(options.notebook, options.mutation, options.part, options.battery)
    if options.command == "ledger":
        from tools import ledger

        kinds = (options.kind,) if options.kind else ("seeds", "mutations")
        return ledger.main(options.notebook, options.part, kinds, options.processes)
    if options.command == "upgrade-report":
        from tools import upgrade

        return upgrade.main(options.pins, options.notebook, options.part, options.processes)
    if options.command == "test":
        from tools import check

        return check.main(options.part, options.cov, rest)
    if options.command in ("new", "text"):
        from tools import notebooks

        return notebooks.main(options)
    if options.command == "pdf":
        from tools import pdf

        return pdf.main()
    if options.command == "lab":
        return subprocess.call([sys.executable, "-m", "jupyterlab", "book"])
    if options.command == "bench":
        return subprocess.call([sys.executable, "-m", "benchmarks.run", *rest])
    from tools import site

    return site.main(options)


def main():
    """Set up `.venv`, continue inside it, run the command."""
    top = parser()
    options, rest = top.parse_known_args()
    if options.command is None:
        top.print_help()
        return 0
    if rest and options.command not in ("test", "bench"):
        top.error(f"{options.command} does not know {' '.join(rest)}")
    bootstrap.ensure()
    bootstrap.reexec(sys.argv[1:])
    return dispatch(options, rest)


if __name__ == "__main__":
    sys.exit(main())
