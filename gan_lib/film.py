"""Films and sliders: small self-contained HTML pictures that move without a server.

`film` shows training as a sequence of frames, `slider` a picture that depends on one parameter.
Both give the same widget: an image, a range input, buttons and a label, with every frame embedded.
It works in a static page, in Jupyter and in Colab; where no script runs, one frame stays visible.
"""

import html
import json
import re
from dataclasses import dataclass

from gan_lib.film_pictures import encode, pictures_of

__all__ = ["Film", "film", "slider"]


@dataclass(frozen=True, repr=False)
class Film:
    """What `film` and `slider` return; the last expression of a cell shows it."""

    html: str
    text: str

    def __repr__(self):
        return self.text

    def _repr_html_(self):
        return self.html

    def _repr_mimebundle_(self, include=None, exclude=None):
        return {"text/html": self.html, "text/plain": self.text}


def film(
    frames, labels, *, name, alt, caption, fps=5, panels=1, size=(4.8, 3.6), dpi=100, colors=16
):
    """Frames in time order, with a play button; the last frame is the static fallback.

    Args:
        frames: a function `draw(ax, i)` that paints frame i on fresh axes (with `panels=k`, k > 1,
            an array of k axes side by side), whose limits and margins are then made common to all
            frames, so that only the data move; or a sequence of matplotlib figures, closed here so
            that the cell does not show them again; or a sequence of images (height, width) or
            (height, width, 3), uint8 or floats in [0, 1], enlarged by whole pixels if small.
        labels: one label per frame, such as "step 200".
        name: a slug, unique on its page; the figure's id is `film-<name>`.
        alt: what the picture shows, for a reader who does not see it.
        caption: plain text under the picture.
        fps: frames per second while playing (at most 1 for a reader who asked for reduced motion).
        panels, size, dpi: axes per frame, inches and dots per inch of what a function paints.
        colors: size of the palette common to all frames, 2 to 256; fewer make a smaller file. None
            keeps all colours and compresses with loss instead, which suits smooth shading.

    Returns:
        A `Film`.

    Raises:
        ValueError: no frames, as many labels as frames are not given, frames differ in size or in
            their axes, floats leave [0, 1], `name` is no slug, `alt` or `caption` is empty.
    """
    labels = [str(label) for label in labels]
    pictures, scale = pictures_of(frames, len(labels), panels, size, dpi)
    page = _page(
        pictures,
        scale,
        labels,
        len(labels) - 1,
        name,
        alt,
        caption,
        colors,
        f"Frame of {name}",
        fps,
    )
    return Film(page, f"Film '{name}': {len(labels)} frames, {labels[0]} … {labels[-1]}")


def slider(
    draw, values, *, name, alt, caption, parameter="θ", start=None, fmt=".2f",
    panels=1, size=(4.8, 3.6), dpi=100, colors=16,
):  # fmt: skip
    """A picture as a function of one parameter, which the reader moves.

    Args:
        draw: a function `draw(ax, value)`, or ready frames, one per value, as for `film`.
        values: the parameter's values, in the slider's order; the label reads `parameter = value`.
        start: index of the value shown first, also the static fallback; the middle one if None.
        fmt: format of a value, for example ".2f" or "d".
        name, alt, caption, panels, size, dpi, colors: as for `film`, whose errors it shares.

    Raises:
        ValueError: as `film`; also when `start` is not the index of a value.
    """
    values = list(values)
    start = len(values) // 2 if start is None else start
    if values and not 0 <= start < len(values):
        raise ValueError(f"start={start} is not the index of one of {len(values)} values")
    labels = [f"{parameter} = {_number(value, fmt)}" for value in values]
    frames = (lambda ax, i: draw(ax, values[i])) if callable(draw) else draw
    pictures, scale = pictures_of(frames, len(values), panels, size, dpi)
    page = _page(pictures, scale, labels, start, name, alt, caption, colors, parameter, None)
    return Film(page, f"Slider '{name}': {len(labels)} values, {labels[0]} … {labels[-1]}")


def _number(value, fmt):
    text = format(value, fmt)
    if text.startswith("-"):  # "-0.00" is zero, other minus signs are typeset as such
        text = text[1:] if not text.strip("-0.") else "−" + text[1:]
    return text


def _page(pictures, scale, labels, start, name, alt, caption, colors, control, fps):
    """The widget's HTML; without `fps` it has no play button."""
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name):
        raise ValueError(f"name must be a slug like 'ring-training', not {name!r}")
    for key, text in (("alt", alt), ("caption", caption)):
        if not text.strip():
            raise ValueError(f"{key} is empty: say what the picture shows")
    if colors is not None and not 2 <= colors <= 256:
        raise ValueError(f"colors must be None or between 2 and 256, not {colors}")
    frames = list(encode(pictures, colors))
    height, width = (scale * side for side in pictures.shape[1:3])
    fill = {
        "name": name, "alt": alt, "caption": caption, "control": control, "label": labels[start],
        "labels": json.dumps(labels, ensure_ascii=False), "start": start, "last": len(labels) - 1,
        "width": width, "height": height, "fps": fps or "",
        "chars": max(map(len, labels)),
        "rendering": "pixelated" if scale > 1 else "auto", "image": frames[start],
    }  # fmt: skip
    fill = {key: html.escape(str(value)) for key, value in fill.items()}
    # the fallback image carries its frame already: not stored twice
    frames[start] = None
    fill |= {
        "style": STYLE,
        "script": SCRIPT.replace("NAME", name).replace("PLAY", PLAY).replace("PAUSE", PAUSE),
        "frames": json.dumps(frames),
    }
    for act, title, path in BUTTONS:
        fill[act] = BUTTON.format(act, title, path) if fps or act != "play" else ""
    return re.sub(r"\{(\w+)\}", lambda match: fill[match[1]], PAGE)


BUTTON = (
    '<button type="button" hidden data-act="{}" aria-label="{}">'
    '<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{}"/></svg></button>'
)
PLAY, PAUSE = "M7 4v16l13-8z", "M6 4h4v16H6zM14 4h4v16h-4z"
BUTTONS = (
    ("play", "Play", PLAY),
    ("back", "Previous frame", "M5 5h3v14H5zM20 5v14l-11-7z"),
    ("next", "Next frame", "M16 5h3v14h-3zM4 5v14l11-7z"),
)

# Controls are hidden until the script runs. Labels are outside the frames, which checks of stored
# outputs blank: a changed label is noticed.
PAGE = """<figure class="gan-film" id="film-{name}" data-labels="{labels}" data-fps="{fps}">
<style>{style}</style>
<img src="data:image/webp;base64,{image}" alt="{alt}" width="{width}" height="{height}"
  style="image-rendering:{rendering}">
<div class="gan-film-bar">
{play}{back}
<input type="range" hidden min="0" max="{last}" step="1" value="{start}"
  autocomplete="off" aria-label="{control}">
{next}
<output style="min-width:{chars}ch" aria-live="polite">{label}</output>
</div>
<figcaption>{caption}</figcaption>
<script type="application/json" class="gan-film-frames">{frames}</script>
<script>{script}</script>
</figure>"""


# The picture is a white card in every theme; the controls take the text's colour.
STYLE = """
.gan-film{margin:1em 0;max-width:100%;color:inherit}
.gan-film>img{display:block;max-width:100%;height:auto;margin:0 auto;padding:0!important;
  background:#fff!important;border-radius:4px}
.gan-film-bar{display:flex;flex-wrap:wrap;align-items:center;gap:8px;
  max-width:480px;margin:8px auto}
.gan-film-bar button{width:36px;height:36px;padding:7px;color:inherit;background:none;
  border:1px solid;border-radius:6px;cursor:pointer}
.gan-film-bar :focus-visible{outline:2px solid;outline-offset:2px}
.gan-film-bar svg{display:block;width:20px;height:20px;fill:currentColor}
.gan-film-bar input{flex:1 1 100px;min-width:0;height:36px;margin:0;
  accent-color:currentColor;cursor:pointer}
.gan-film-bar output{padding:0;color:inherit;font-variant-numeric:tabular-nums;white-space:nowrap}
.gan-film figcaption{color:inherit;text-align:center}
div.cell_output .text_html:has(>.gan-film.gan-film){color:inherit!important;
  background:none!important;padding:0}
@media print{.gan-film-bar button,.gan-film-bar input{display:none}}
"""

# Scoped to figures of this id that no script has taken yet: nothing global, and two views of one
# output work. The range input keeps the state.
SCRIPT = """
for (const root of document.querySelectorAll("#film-NAME:not([data-ready])")) (() => {
  root.dataset.ready = "";
  const find = (selector) => root.querySelector(selector);
  const image = find("img"), range = find("input"), output = find("output");
  const play = find("[data-act=play]"), labels = JSON.parse(root.dataset.labels);
  const head = image.src.slice(0, image.src.indexOf(",") + 1), last = labels.length - 1;
  const frames = JSON.parse(find(".gan-film-frames").textContent)
    .map((frame) => (frame === null ? image.src : head + frame));
  let timer = 0;
  const show = (i) => {
    range.value = i;
    image.src = frames[i];
    output.textContent = labels[i];
    range.setAttribute("aria-valuetext", labels[i]);
    // a screen reader hears the slider itself, and should not hear every frame of a playing film
    output.ariaLive = timer || root.ownerDocument.activeElement === range ? "off" : "polite";
  };
  const run = (on) => {
    clearInterval(timer);
    timer = 0;
    if (on) {
      const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
      const fps = calm ? Math.min(1, root.dataset.fps) : root.dataset.fps;
      timer = setInterval(() => {
        if (!root.isConnected || +range.value === last) return run(false);
        show(+range.value + 1);
        if (+range.value === last) run(false);
      }, 1000 / fps);
      show(+range.value === last ? 0 : +range.value);
    }
    play.ariaLabel = on ? "Pause" : "Play";
    play.querySelector("path").setAttribute("d", on ? "PAUSE" : "PLAY");
    if (!on) show(+range.value);
  };
  const step = (by) => {
    if (timer) run(false);
    show((+range.value + by + last + 1) % (last + 1));
  };
  range.addEventListener("input", () => step(0));
  find("[data-act=back]").addEventListener("click", () => step(-1));
  find("[data-act=next]").addEventListener("click", () => step(1));
  if (play) play.addEventListener("click", () => run(!timer));
  for (const control of root.querySelectorAll("[hidden]")) control.hidden = false;
  show(+range.getAttribute("value"));
})();
"""
