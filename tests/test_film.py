"""The film and slider widget: its HTML, and its behaviour in a real browser."""

import base64
import io
import json
import re
import shutil

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from matplotlib.figure import Figure
from PIL import Image

from gan_lib.film import film, slider

TEXT = {"alt": "Points gather on a ring.", "caption": "Samples & modes: <b>0 < r</b>."}


def points(ax, i):
    rng = np.random.default_rng(i)
    angle = 2 * np.pi * rng.integers(8, size=300) / 8
    ring = np.stack([np.cos(angle), np.sin(angle)]) + 0.05 * rng.normal(size=(2, 300))
    ax.scatter(*ring, s=6)
    ax.set(xlim=(-2, 2), ylim=(-2, 2))


def bars(ax, value):
    ax.bar([0, 1], [value, 1 - value])


def small_film(name="ring", n=4, **options):
    options = {"size": (3, 2), "fps": 20} | TEXT | options
    return film(points, [f"step {10 * i}" for i in range(n)], name=name, **options)


def small_slider(name="theta", **options):
    return slider(bars, np.linspace(0, 1, 5), name=name, **(TEXT | options))


def decoded(widget):
    """Labels, and frames as arrays: the fallback image is put back into its place."""
    shown = re.search(r'src="data:image/webp;base64,([^"]+)"', widget.html)[1]
    data = re.search(
        r'<script type="application/json" class="gan-film-frames">(.*?)</script>', widget.html
    )
    frames = [shown if frame is None else frame for frame in json.loads(data[1])]
    return [np.array(Image.open(io.BytesIO(base64.b64decode(f))).convert("RGB")) for f in frames]


def test_html_is_deterministic():
    assert small_film().html == small_film().html
    assert small_slider().html == small_slider().html


def test_the_output_speaks_for_itself():
    assert repr(small_film()) == "Film 'ring': 4 frames, step 0 … step 30"
    assert repr(small_slider()) == "Slider 'theta': 5 values, θ = 0.00 … θ = 1.00"
    bundle = small_film()._repr_mimebundle_()
    assert bundle == {"text/html": small_film()._repr_html_(), "text/plain": repr(small_film())}


def test_html_is_self_contained_and_escaped():
    page = small_film().html
    assert "http" not in page and "//" not in re.sub(
        r"// [^\n]*|base64,[^\"]*|\"[\w+/=]{99,}\"", "", page
    )
    assert "Samples &amp; modes: &lt;b&gt;0 &lt; r&lt;/b&gt;." in page
    assert page.count('id="') == 1 and 'id="film-ring"' in page


def test_each_frame_is_stored_once():
    for widget, shown in ((small_film(), 3), (small_slider(), 2), (small_slider(start=0), 0)):
        stored = json.loads(re.search(r'gan-film-frames">(.*?)</script>', widget.html)[1])
        assert [i for i, frame in enumerate(stored) if frame is None] == [shown]
        assert len(set(stored)) == len(stored)


def test_size_is_bounded():
    many = film(points, range(40), name="ring", **TEXT)
    assert len(many.html) < 240_000
    rng = np.random.default_rng(0)
    grid = [np.kron(rng.random((4, 10)) < 0.5, np.outer(*2 * [np.hanning(28)])) for _ in range(30)]
    digits = film(grid, range(30), name="digits", **TEXT)
    assert len(digits.html) < 60_000


def test_painted_frames_share_limits_and_margins():
    """Larger values, their longer tick labels and a second line of title: the axes must not move."""

    def curve(ax, i):
        ax.plot([0, 1], [0, [1, 10_000][i]])
        ax.spines[:].set_visible(True)  # whatever style another test has set
        ax.set_title(["one line", "two\nlines"][i])

    first, last = decoded(film(curve, "ab", name="curve", **TEXT))
    dark = [(frame < 60).all(axis=2) for frame in (first, last)]
    columns = [np.flatnonzero(frame.mean(axis=0) > 0.6) for frame in dark]
    rows = [np.flatnonzero(frame.mean(axis=1) > 0.6) for frame in dark]
    assert len(columns[0]) >= 2 and np.array_equal(*columns)
    assert len(rows[0]) >= 2 and np.array_equal(*rows)
    changed = (first != last).any(axis=2)
    assert changed.any() and not changed[:, : columns[0][0]].any(), "tick labels differ"


def test_inverted_axes_stay_inverted():
    image = np.zeros((8, 8))
    image[0] = 1

    def show(ax, i):
        ax.imshow(image, cmap="gray")
        ax.axis("off")

    frame = decoded(film(show, "ab", name="image", **TEXT))[0]
    rows = np.flatnonzero((frame < 9).all(axis=2).any(axis=1))
    assert (frame[rows[0] - 8, frame.shape[1] // 2] > 240).all(), "the white row is on top"
    assert rows[-1] > frame.shape[0] * 0.9


def test_rare_colours_survive_the_palette():
    """One thin red cross among many shades of grey."""
    rng = np.random.default_rng(0)
    image = np.repeat(rng.integers(0, 256, size=(100, 100, 1), dtype=np.uint8), 3, axis=2)
    image[50, 40:60] = (214, 39, 40)
    frame = decoded(film([image, image], "ab", name="red", **TEXT))[0].astype(int)
    assert (frame[50, 45:55, 0] - frame[50, 45:55, 1] > 120).all()
    assert len(np.unique(frame.reshape(-1, 3), axis=0)) <= 16


def test_few_colours_are_exact():
    images = [np.eye(20, dtype=np.uint8) * 200, 1 - np.eye(20)]
    frames = decoded(film(images, "ab", name="eye", **TEXT))
    assert np.array_equal(frames[0][..., 0], images[0])
    assert np.array_equal(frames[1][..., 2], 255 * images[1])


def test_small_images_are_enlarged_by_whole_pixels():
    """A grid of 10 digits in a row is 280 pixels wide; figures keep their size."""
    digits = film([np.zeros((112, 280))], "a", name="digits", **TEXT).html
    assert 'width="560" height="224"' in digits and "image-rendering:pixelated" in digits
    assert 'width="300" height="200"' in small_film().html


def test_panels_and_colour_bars():
    def surfaces(axes, i):
        for ax in axes:
            image = ax.imshow(np.eye(5) * (i + 1))
        ax.figure.colorbar(image, ax=axes)

    first, last = decoded(film(surfaces, "ab", name="two", panels=2, size=(6, 3), **TEXT))
    assert first.shape == last.shape == (300, 600, 3)
    smooth = film(surfaces, "ab", name="two", panels=2, size=(6, 3), colors=None, **TEXT)
    assert len(np.unique(decoded(smooth)[0].reshape(-1, 3), axis=0)) > 100


def test_figures_are_accepted_and_closed():
    before = plt.get_fignums()
    figures = [plt.figure(figsize=(2, 1), dpi=50, facecolor=(0, 0, 0, 0.5)) for _ in range(2)]
    frames = decoded(film(figures, "ab", name="mine", **TEXT))
    assert frames[0].shape == (50, 100, 3) and (abs(frames[0] - 128.0) < 2).all(), "on white"
    assert plt.get_fignums() == before
    small_film()
    assert plt.get_fignums() == before


def test_the_style_of_the_book_applies():
    with matplotlib.rc_context({"axes.facecolor": "black"}):
        dark = decoded(small_film())[0]
    assert dark.mean() < 128 < decoded(small_film())[0].mean()


def test_parameter_labels():
    widget = slider(bars, [-0.5, -0.001, 2], name="theta", parameter="λ", fmt=".1f", **TEXT)
    assert (
        json.dumps(["λ = −0.5", "λ = 0.0", "λ = 2.0"], ensure_ascii=False).replace('"', "&quot;")
        in widget.html
    )


IMAGE = np.zeros((4, 4))


@pytest.mark.parametrize(
    "frames, labels, options, message",
    [
        ([], [], {}, "no frames"),
        (points, [], {}, "no frames"),
        ([IMAGE], ["a", "b"], {}, "1 frames but 2 labels"),
        ([IMAGE, np.zeros((4, 5))], "ab", {}, r"differ.*\(4, 4\), \(4, 5\)"),
        ([Figure((1, 1)), Figure((2, 1))], "ab", {}, "differ in"),
        ([IMAGE - 1], "a", {}, r"\[0, 1\]"),
        ([IMAGE + np.nan], "a", {}, r"\[0, 1\]"),
        ([np.zeros((4, 4, 2))], "a", {}, r"\(4, 4, 2\)"),
        ([IMAGE], "a", {"alt": " "}, "alt is empty"),
        ([IMAGE], "a", {"caption": ""}, "caption is empty"),
        ([IMAGE], "a", {"name": "My film"}, "slug"),
        ([IMAGE], "a", {"colors": 1}, "colors"),
        (lambda ax, i: ax.twinx() if i else None, "ab", {}, "number of axes"),
    ],
)
def test_errors_name_the_mistake(frames, labels, options, message):
    with pytest.raises(ValueError, match=message):
        film(frames, labels, **({"name": "ok"} | TEXT | options))


def test_a_slider_cannot_start_outside():
    with pytest.raises(ValueError, match="start=5"):
        small_slider(start=5)


# In the browser. Two films and a slider on one page; a second view of a film in the way that
# JupyterLab shows it: HTML set on a detached element, scripts replaced by copies, then attached.

FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

AS_IN_JUPYTERLAB = """(page) => {
  const host = document.createElement("div");
  host.id = "lab";
  host.innerHTML = page;
  for (const old of host.querySelectorAll("script")) {
    const copy = document.createElement("script");
    for (const {name, value} of old.attributes) copy.setAttribute(name, value);
    copy.textContent = old.textContent;
    old.replaceWith(copy);
  }
  document.querySelector("main").append(host);
}"""


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("needs Debian's chromium")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def document():
    widgets = small_film("one"), small_film("two", n=30, fps=10), small_slider()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Films</title>'
        '<meta name="viewport" content="width=device-width"></head><body><main><h1>Films</h1>'
        + "".join(widget.html for widget in widgets)
        + "</main></body></html>"
    )


@pytest.fixture
def page(browser, document, tmp_path):
    yield from opened(browser, document, tmp_path)


def opened(browser, document, folder, **options):
    path = folder / "films.html"
    path.write_text(document, encoding="utf-8")
    context = browser.new_context(**options)
    page = context.new_page()
    problems = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: r.url.startswith(("file:", "data:")) or problems.append(r.url))
    page.set_default_timeout(5000)
    page.goto(path.as_uri())
    yield page
    context.close()
    assert not problems


class Widget:
    def __init__(self, page, selector):
        self.root = page.locator(selector)
        self.range = self.root.locator("input")
        self.play = self.root.locator("[data-act=play]")

    @property
    def src(self):
        return self.root.locator("img").get_attribute("src")

    @property
    def label(self):
        return self.root.locator("output").inner_text()

    def click(self, act):
        self.root.locator(f"[data-act={act}]").click()


def test_the_slider_moves_the_picture(page):
    one, two = Widget(page, "#film-one"), Widget(page, "#film-two")
    assert (one.label, one.range.input_value()) == ("step 30", "3")
    other = two.src
    seen = [one.src]
    for i in range(3):
        one.range.fill(str(i))
        assert one.label == one.range.get_attribute("aria-valuetext") == f"step {10 * i}"
        seen.append(one.src)
    assert len(set(seen)) == 4
    one.range.fill("3")
    assert one.src == seen[0]
    assert all(src.startswith("data:image/webp;base64,") for src in seen)
    page.wait_for_function("[...document.images].every((image) => image.naturalWidth >= 300)")
    assert two.src == other and two.label == "step 290", "the other film is left alone"


def test_keyboard(page):
    one = Widget(page, "#film-one")
    one.range.focus()
    for key, label in (("ArrowLeft", "20"), ("Home", "0"), ("ArrowRight", "10"), ("End", "30")):
        page.keyboard.press(key)
        assert one.label == f"step {label}"
    for _ in range(2):  # over the next button to the next film
        page.keyboard.press("Tab")
    two = Widget(page, "#film-two")
    for key, label in (("Enter", "Pause"), ("Space", "Play")):
        page.keyboard.press(key)
        assert two.play.get_attribute("aria-label") == label


def test_step_buttons_wrap_around(page):
    one = Widget(page, "#film-one")
    for act, label in (("next", "0"), ("next", "10"), ("back", "0"), ("back", "30")):
        one.click(act)
        assert one.label == f"step {label}"


def test_play_from_the_start_to_the_end(page):
    one = Widget(page, "#film-one")
    page.evaluate("""() => {
      window.seen = [];
      const output = document.querySelector("#film-one output");
      new MutationObserver(() => seen.push(output.textContent + " " + output.ariaLive))
        .observe(output, {childList: true});
    }""")
    for runs in (1, 2):
        one.click("play")
        page.wait_for_function("(n) => seen.length >= n", arg=4 * runs)
        assert (one.label, one.play.get_attribute("aria-label")) == ("step 30", "Play")
    run = ["step 0 off", "step 10 off", "step 20 off", "step 30 polite"]
    assert page.evaluate("seen") == 2 * run, "every frame once per run, only the end announced"


def test_pause_stops(page):
    two = Widget(page, "#film-two")
    # below the end, where the film stands before it plays
    beyond = "(i) => ((at) => i < at && at < 29)(+document.querySelector('#film-two input').value)"
    two.click("play")
    page.wait_for_function(beyond, arg=1)
    two.click("play")
    stopped = int(two.range.input_value())
    page.wait_for_timeout(300)
    assert 1 < stopped < 29 and two.label == f"step {10 * stopped}"
    two.click("play")
    page.wait_for_function(beyond, arg=stopped)
    two.range.fill("2")
    page.wait_for_timeout(300)
    assert two.label == "step 20", "a hand on the slider pauses too"


def test_a_slider_starts_where_told_and_has_no_play(page):
    theta = Widget(page, "#film-theta")
    assert theta.label == "θ = 0.50" and theta.play.count() == 0
    assert theta.range.get_attribute("aria-label") == "θ"
    theta.click("back")
    assert theta.label == "θ = 0.25"


def test_a_second_view_as_in_jupyterlab(page):
    page.evaluate(AS_IN_JUPYTERLAB, small_film("one").html)
    first, second = Widget(page, "#film-one >> nth=0"), Widget(page, "#lab figure")
    second.click("back")
    assert (first.label, second.label) == ("step 30", "step 20")
    first.click("next")
    assert first.label == "step 0", "one step, not one per script"
    page.evaluate("document.querySelector('#lab').remove()")


def test_scripts_leave_no_globals(page, tmp_path):
    names = page.evaluate("Object.getOwnPropertyNames(window)")
    (tmp_path / "empty.html").write_text("<title>Empty</title>")
    page.goto((tmp_path / "empty.html").as_uri())
    assert set(names) == set(page.evaluate("Object.getOwnPropertyNames(window)"))


def test_reduced_motion_plays_slowly(browser, document, tmp_path):
    for page in opened(browser, document, tmp_path, reduced_motion="reduce"):
        two = Widget(page, "#film-two")
        two.click("play")
        page.wait_for_timeout(500)
        assert two.label == "step 0"


def test_without_scripts_the_last_frame_is_there(browser, document, tmp_path):
    for page in opened(browser, document, tmp_path, java_script_enabled=False):
        one = Widget(page, "#film-one")
        box = one.root.locator("img").bounding_box()
        assert (box["width"], box["height"]) == (300, 200)
        shot = Image.open(io.BytesIO(one.root.locator("img").screenshot())).convert("RGB")
        drawn = np.array(shot.resize((300, 200))).astype(int)
        errors = [abs(drawn - frame).mean() for frame in decoded(small_film("one"))]
        assert np.argmin(errors) == 3, "the picture is the last frame"
        assert one.label == "step 30"
        assert not one.range.is_visible() and not one.play.is_visible()


@pytest.mark.parametrize("width", [1200, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible(browser, document, tmp_path, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright").Axe()
    dark = "<style>html{background:#121212;color:#ddd;color-scheme:dark}</style></head>"
    if scheme == "dark":
        document = document.replace("</head>", dark)
    options = {"viewport": {"width": width, "height": 800}, "color_scheme": scheme}
    for page in opened(browser, document, tmp_path, **options):
        tags = ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa", "best-practice"]
        found = axe.run(page, options={"runOnly": tags})
        assert not found.response["violations"], found.generate_report()
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for button in page.get_by_role("button").all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 24
        if width == 390:
            for widget in page.locator("figure input").all():
                assert widget.bounding_box()["width"] >= 100
