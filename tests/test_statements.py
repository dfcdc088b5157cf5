"""`statements.yml` is well-formed, and its statements and the chapters' claims match."""

import ast
import re

import nbformat
import pytest
import yaml

from tools import runner
from tools.paths import BOOK, ROOT, chapter_name, chapters

SOURCES = ("000", "001", "002", "003", "004", "book")  # `book`: what this book says itself

# The course's chapters, written or planned.
CHAPTERS = frozenset(
    f"{part}/{name}"
    for part, names in {
        "motivation": "two_players maximum_likelihood fully_visible_belief_nets "
        "variational_autoencoders generative_stochastic_networks four_families",
        "game": "minimax saturating_gradients",
        "theory": "optimal_discriminator jensen_shannon convergence game_dynamics",
        "practice": "digits mode_collapse debugging",
        "f_gan": "f_divergences fenchel_conjugates training_f_gans which_divergence",
        "wasserstein": "disjoint_supports earth_mover wasserstein_gan gradient_penalties "
        "spectral_normalization energy_and_margin",
        "descendants": "dcgan conditional_gans semi_supervised_gans",
        "evaluation": "measuring_gans two_time_scales created_equal",
    }.items()
    for name in names.split()
)

REQUIRED = {"source", "section", "chapter", "says", "slip"}
OPTIONAL = {"correction", "also", "also_in", "why_not"}

# 000 has numbered sections, and its ids carry the number.
ID = re.compile(r"(000-\d|00[1-4]|book)(-[a-z0-9]+)+")


class UniqueKeys(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys silently; this loader refuses them."""

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} stands there twice", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def load():
    """The statements, by id."""
    text = (ROOT / "statements.yml").read_text(encoding="utf-8")
    return yaml.load(text, Loader=UniqueKeys)  # a SafeLoader, so nothing is executed


STATEMENTS = load()
EXISTING = {chapter_name(path) for path in chapters()}


def homes(entry):
    """The chapters that may verify a statement."""
    return {entry["chapter"], *entry.get("also_in", [])}


def without_magics(source):
    """A cell's code without IPython's `%` and `!` lines, which are not Python."""
    lines = source.splitlines()
    return "\n".join("pass" if line.startswith(("%", "!")) else line for line in lines)


def written_ids(source):
    """Every string given to the keyword `statement` in a cell's code (alone or in a list)."""
    found = set()
    for node in ast.walk(ast.parse(without_magics(source))):
        if isinstance(node, ast.keyword) and node.arg == "statement":
            found |= {
                leaf.value
                for leaf in ast.walk(node.value)
                if isinstance(leaf, ast.Constant) and isinstance(leaf.value, str)
            }
    return found


def recorded_ids(cell):
    """Every id in the records that `verify` left in the outputs of a cell."""
    found = set()
    for output in cell.get("outputs", []):
        value = output.get("metadata", {}).get("gan_claim", {}).get("statement") or []
        found |= {value} if isinstance(value, str) else set(value)
    return found


def claimed_ids(path):
    """The ids that a chapter names in code or recorded in outputs."""
    found = set()
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            found |= written_ids(cell.source) | recorded_ids(cell)
    return found - {""}


def test_the_list_is_long_enough_to_be_the_real_one():
    assert len(STATEMENTS) > 200
    assert {entry["source"] for entry in STATEMENTS.values()} == set(SOURCES)


@pytest.mark.parametrize("name", STATEMENTS)
def test_entry_is_well_formed(name):
    entry = STATEMENTS[name]
    assert ID.fullmatch(name), name
    assert REQUIRED <= set(entry) <= REQUIRED | OPTIONAL
    assert entry["source"] in SOURCES and name.startswith(entry["source"] + "-")
    if entry["source"] == "000":
        assert entry["section"].startswith(f"§{name.split('-')[1]}")
    if entry["source"] == "book":
        assert entry["section"] == entry["chapter"] and not entry["slip"]
    assert isinstance(entry["slip"], bool)
    assert isinstance(entry["says"], str) and len(entry["says"]) >= 10
    assert "\n" not in entry["says"]
    # What is wrong must come with what is right, and only then.
    assert ("correction" in entry) == entry["slip"]
    also = entry.get("also", [])
    assert set(also) <= set(SOURCES) - {entry["source"]} and len(also) == len(set(also))
    assert homes(entry) <= CHAPTERS
    assert entry["chapter"] not in entry.get("also_in", [])
    assert len(entry.get("why_not", "a reason, if given, is a sentence")) >= 20


def test_every_existing_chapter_is_in_the_list_of_chapters():
    assert EXISTING <= CHAPTERS


def test_claims_name_statements_of_their_chapter(chapter):
    home = chapter_name(chapter)
    claimed = claimed_ids(chapter)
    unknown = sorted(claimed - set(STATEMENTS))
    assert not unknown, f"not in statements.yml: {unknown}"
    elsewhere = sorted(name for name in claimed if home not in homes(STATEMENTS[name]))
    assert not elsewhere, f"another chapter's; list {home} under also_in: {elsewhere}"


def test_every_claim_names_a_statement(chapter):
    claims = runner.claims_of(nbformat.read(chapter, as_version=4))
    untied = [claim["text"] for claim in claims if not claim["statement"]]
    assert not untied, f"claims without a statement: {untied}"


def test_every_statement_of_a_chapter_is_claimed_or_excused(chapter):
    home = chapter_name(chapter)
    claimed = claimed_ids(chapter)
    missing = [
        name
        for name, entry in STATEMENTS.items()
        if entry["chapter"] == home and name not in claimed and "why_not" not in entry
    ]
    assert not missing, f"no verify(..., statement=...) and no why_not: {missing}"


def test_errata_lists_the_slips_of_existing_chapters():
    text = (BOOK / "appendices" / "errata.md").read_text(encoding="utf-8")
    entries = re.findall(r"^\(errata-(.+)\)=$", text, flags=re.MULTILINE)
    assert len(entries) == len(set(entries))
    slips = {name: entry for name, entry in STATEMENTS.items() if entry["slip"]}
    assert set(entries) <= set(slips)
    checked = {name for name, entry in slips.items() if entry["chapter"] in EXISTING}
    assert checked <= set(entries), f"missing in errata.md: {sorted(checked - set(entries))}"
    # A slip is "checked in" the chapter that the list gives.
    for name in entries:
        section = text.split(f"(errata-{name})=")[1].split("\n(errata-")[0]
        assert f"../{slips[name]['chapter']}.ipynb" in section, name
        assert f"`{name}`" in section, name


def test_ids_are_found_in_code_and_in_records():
    assert written_ids('%matplotlib inline\nverify("a", 1, statement="000-1-a")') == {"000-1-a"}
    assert written_ids('verify("a", 1, statement=["001-a", "002-b"])') == {"001-a", "002-b"}
    assert written_ids("verify('a', 1, source='x')") == set()
    cell = {"outputs": [{"metadata": {"gan_claim": {"statement": "003-a"}}}, {}]}
    assert recorded_ids(cell) == {"003-a"}


def test_a_repeated_key_is_refused():
    with pytest.raises(yaml.constructor.ConstructorError, match="twice"):
        yaml.load("a: 1\na: 2\n", Loader=UniqueKeys)
