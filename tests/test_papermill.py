"""Every chapter again, with a seed that nobody looked at: does what the prose claims still hold?"""

import papermill
import pytest

from tools import failures, runner
from tools.notebooks import read
from tools.paths import chapter_name


def explain(chapter, seed, details):
    """The message of a failure: which chapter, what happened, how to see it again."""
    name = chapter_name(chapter)
    node = f"tests/test_papermill.py::test_chapter_holds_with_another_seed[{name}]"
    again = f"GAN_TEST_SEED={seed} {failures.PYTHON} -m pytest '{node}'"
    return failures.explain(f"{name}, seed {seed}", details, again)


def test_chapter_holds_with_another_seed(chapter, seed):
    assert "seed" in papermill.inspect_notebook(str(chapter)), "there is no parameter `seed`"
    committed = runner.claims_of(read(chapter))
    result = runner.run(chapter, parameters={"seed": seed})
    if result.failure:
        pytest.fail(
            explain(chapter, seed, failures.what_stopped(str(result.failure))), pytrace=False
        )
    if not result.claims or len(result.claims) != len(committed):
        details = [failures.row("claim", "every claim is verified with every seed")]
        details.append(failures.row("expected", f"{len(committed)} claims, as committed"))
        details.append(failures.row("measured", f"{len(result.claims)} claims"))
        pytest.fail(explain(chapter, seed, details), pytrace=False)
