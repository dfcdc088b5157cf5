"""The numbers in the answers of the self-test, computed here, and nowhere else on that page."""

import re

import numpy as np
import pytest
import torch
from scipy import integrate, optimize, stats

from tools.paths import BOOK

PAGE = (BOOK / "prerequisites.md").read_text(encoding="utf-8")
QUESTIONS = {
    int(number): text
    for number, text in re.findall(r"### (\d+)\. (.*?)(?=\n###? |\Z)", PAGE, re.DOTALL)
}


def answer(number):
    """The folded part of a question, without where to refresh."""
    folded = re.search(r":::\{dropdown\} Answer\n(.*?)\n:::", QUESTIONS[number], re.DOTALL)[1]
    return folded.split("Refresh:")[0]


def die():
    """Mean, mean square, square of the mean and variance of a die, by its outcomes."""
    x = np.arange(1, 7)
    return {
        "3.5": x.mean(),
        "15.17": (x**2).mean(),
        "12.25": x.mean() ** 2,
        "2.92": x.var(),
        "91/6": (x**2).mean(),
        "35/12": x.var(),
    }


def square_of_a_uniform():
    """Density of the square at two points, by differences; its mean, by two integrals."""
    law = stats.beta(0.5, 1)  # what the square of a uniform number is called
    slope = lambda x: (law.cdf(x + 1e-7) - law.cdf(x - 1e-7)) / 2e-7  # noqa: E731
    by_z = integrate.quad(lambda z: z**2, 0, 1)[0]
    by_x = integrate.quad(lambda x: x / (2 * x**0.5), 0, 1)[0]
    assert by_z == pytest.approx(by_x)
    return {"0.25": 0.25, "0.01": 0.01, "$1$": slope(0.25), "$5$": slope(0.01), "= 1/3": by_z}


def bayes():
    """Posteriors, and the four products on the way, from a table of joint probabilities."""
    even = np.array([0.5 * 0.6, 0.5 * 0.2])
    three = np.array([0.25 * 0.6, 0.75 * 0.2])
    flagged = np.array([0.01 * 0.95, 0.99 * 0.05])
    given = {text: float(text) for text in "0.6 0.2 0.25 0.01 0.95 0.99 0.05".split()}
    return given | {
        "0.75": even[0] / even.sum(),
        "0.15": three[0],
        "0.5$": three[0] / three.sum(),
        "0.0095": flagged[0],
        "0.0495": flagged[1],
        "0.16$": flagged[0] / flagged.sum(),
    }


def two_coins():
    """Both divergences, by scipy's entropy."""
    p, q = [0.5, 0.5], [0.25, 0.75]
    return {"0.144": stats.entropy(p, q), "0.131": stats.entropy(q, p)}


def standard_error():
    """The spread of averages of 10,000 and of four times as many numbers, in closed form and drawn."""
    drawn = np.random.default_rng(0).normal(0, 2, (200, 10_000)).mean(1).std()
    assert drawn == pytest.approx(0.02, rel=0.2)
    return {"0.02": 2 / 10_000**0.5, "40{,}000": (2 / 0.01) ** 2}


def log_sigmoid():
    """The slope at w = 1, by autograd."""
    w = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)
    torch.nn.functional.logsigmoid(w * 2).backward()
    return {"0.881": torch.sigmoid(torch.tensor(2.0)).item(), "0.238": w.grad.item()}


def hill():
    """The highest point, by a search."""
    best = optimize.minimize_scalar(
        lambda y: -(0.6 * np.log(y) + 0.2 * np.log(1 - y)), bounds=(0.01, 0.99), method="bounded"
    )
    return {"0.75": best.x, "-0.450": -best.fun}


def jensen():
    """Both sides of the inequality; the convex functions, by their second differences."""
    x, h = np.linspace(0.5, 3, 200), 1e-3
    functions = {"x²": np.square, "eˣ": np.exp, "|x|": np.abs, "−log": lambda x: -np.log(x)}
    for f in functions.values():
        assert (f(x + h) - 2 * f(x) + f(x - h) > -1e-12).all()
    assert (np.log(x + h) - 2 * np.log(x) + np.log(x - h) < 0).all()
    values = np.array([1.0, 3.0])
    return {"-0.549": -np.log(values).mean(), "-0.693": -np.log(values.mean())}


def run(question):
    """What a question's code leaves, as a dictionary."""
    code = re.search(r"```python\n(.*?)```", QUESTIONS[question], re.DOTALL)[1]
    names = {"torch": torch}
    exec(code, names)
    return names, code


def backward_twice():
    """The question's own code."""
    return {"12.0": run(9)[0]["x"].grad.item(), "= 6": 2 * 3.0}


def detached():
    """The question's own code, and the same without `detach`."""
    names, code = run(10)
    plain = {"torch": torch}
    exec(code.replace(".detach()", ""), plain)
    return {"`2.0`": names["w"].grad.item(), "`4.0`": plain["w"].grad.item()}


def shapes():
    """The shape that broadcasting makes."""
    difference = torch.zeros(64, 1) - torch.zeros(64)
    assert tuple(difference.shape) == (64, 64) and "(64, 64)" in answer(11)
    return {"4096": difference.numel()}


def saddle():
    """One step of both players, by autograd."""
    point = torch.tensor([1.0, 1.0], dtype=torch.float64, requires_grad=True)
    (point[0] * point[1]).backward()
    a, b = (point + 0.1 * point.grad * torch.tensor([-1.0, 1.0])).tolist()
    before, after = np.hypot(1, 1), np.hypot(a, b)
    assert after > before
    return {"0.1": 0.1, "0.9": a, "1.1": b, "2.02": after**2, "1.414": before, "1.421": after}


CHECKS = [
    die, square_of_a_uniform, bayes, two_coins, standard_error, log_sigmoid, hill, jensen,
    backward_twice, detached, shapes, saddle,
]  # fmt: skip


def value(text):
    """The number that a piece of the page shows, and how far it may be off: half of its last digit."""
    plain = text.replace("{,}", "").strip("$`= ")
    if "/" in plain:
        over, under = plain.split("/")
        return int(over) / int(under), 1e-6
    return float(plain), 0.5 * 10 ** -len(plain.partition(".")[2]) + 1e-6


def test_every_question_has_a_check():
    assert list(QUESTIONS) == list(range(1, len(CHECKS) + 1))


@pytest.mark.parametrize("number", QUESTIONS)
def test_the_numbers_of_an_answer_are_right_and_all_checked(number):
    text, computed = answer(number), CHECKS[number - 1]()
    for shown, truth in computed.items():
        assert shown in text, f"{shown} is not in the answer"
        expected, margin = value(shown)
        assert truth == pytest.approx(expected, abs=margin), shown
    unchecked = text
    for shown in sorted(computed, key=len, reverse=True):
        unchecked = unchecked.replace(shown, " ")
    left = re.findall(r"\d+\.\d+", unchecked)
    assert not left, f"no check computes {left}"
