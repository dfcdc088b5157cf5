"""Every chapter again, with a seed that nobody looked at: does what the prose claims still hold?"""

import papermill
import pytest

from tools import runner
from tools.notebooks import read
from tools.paths import chapter_name


def explain(chapter, seed, what):
    """The last lines of a failure: which chapter, what happened, how to see it again."""
    name = chapter_name(chapter)
    node = f"tests/test_papermill.py::test_chapter_holds_with_another_seed[{name}]"
    return (
        f"chapter  {name}, seed {seed}\n{what}\n"
        f"again    GAN_TEST_SEED={seed} .venv/bin/python -m pytest '{node}'"
    )


def test_chapter_holds_with_another_seed(chapter, seed):
    assert "seed" in papermill.inspect_notebook(str(chapter)), "there is no parameter `seed`"
    committed = runner.claims_of(read(chapter))
    result = runner.run(chapter, parameters={"seed": seed})
    if result.failure:
        pytest.fail(explain(chapter, seed, f"stopped  {result.failure}"), pytrace=False)
    if not result.claims or len(result.claims) != len(committed):
        seen = f"claims   {len(result.claims)} verified, {len(committed)} in the committed notebook"
        pytest.fail(explain(chapter, seed, seen), pytrace=False)
