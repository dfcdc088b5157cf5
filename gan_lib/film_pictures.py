"""The frames of a film as pixels: painted with common limits, reduced to a common palette, encoded."""

import base64
import io

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from PIL import Image


def pictures_of(frames, n, panels, size, dpi):
    """All frames as one uint8 array (n, height, width, 3), and how much to enlarge them."""
    frames = _paint(frames, n, panels, size, dpi) if callable(frames) else list(frames)
    pictures = [_pixels(frame) for frame in frames]
    if not pictures:
        raise ValueError("no frames to show")
    if len(pictures) != n:
        raise ValueError(f"{len(pictures)} frames but {n} labels")
    if len({picture.shape for picture in pictures}) > 1:
        sizes = sorted({picture.shape[:2] for picture in pictures})
        raise ValueError(f"frames differ in (height, width): {sizes}")
    pixels = not isinstance(frames[0], Figure)
    return np.stack(pictures), max(1, round(480 / pictures[0].shape[1])) if pixels else 1


def _paint(draw, n, panels, size, dpi):
    """Figures painted by `draw(ax, i)`, their axes at common limits and positions."""
    # Figure instead of plt.figure: nothing is registered, so nothing is shown twice or leaks
    figures = [
        Figure(figsize=size, dpi=dpi, layout="constrained", facecolor="white") for _ in range(n)
    ]
    for i, figure in enumerate(figures):
        draw(figure.subplots(1, panels), i)
        FigureCanvasAgg(figure)
    if len({len(figure.axes) for figure in figures}) > 1:
        raise ValueError("frames differ in their number of axes")
    columns = list(zip(*(figure.axes for figure in figures), strict=True))
    for column in columns:
        if column[0].get_label() != "<colorbar>":  # a bar's limits belong to its colours
            for axis in ("xaxis", "yaxis"):
                ends = np.sort([getattr(ax, axis).get_view_interval() for ax in column], axis=1)
                for ax in column:
                    inverted = getattr(ax, axis).get_inverted()
                    limits = (ends.min(), ends.max())[:: -1 if inverted else 1]
                    ax.set(**{axis[0] + "lim": limits})
    for figure in figures:
        figure.draw_without_rendering()  # lays out; tick labels of one frame may need more room
        figure.set_layout_engine("none")
    for column in columns:
        boxes = np.array([ax.get_position(original=True).extents for ax in column])
        box = Bbox.from_extents(*boxes[:, :2].max(axis=0), *boxes[:, 2:].min(axis=0))
        for ax in column:
            ax.set_position(box)
    return figures


def _pixels(frame):
    """One frame as a uint8 array (height, width, 3), on white."""
    if isinstance(frame, Figure):
        canvas = FigureCanvasAgg(frame)
        canvas.draw()
        picture = Image.fromarray(np.array(canvas.buffer_rgba()))
        plt.close(frame)  # does nothing to a figure that pyplot does not know
        white = Image.new("RGBA", picture.size, "white")
        return np.array(Image.alpha_composite(white, picture).convert("RGB"))
    values = np.asarray(frame)
    if values.ndim not in (2, 3) or values.ndim == 3 and values.shape[2] != 3:
        raise ValueError(f"an image is (height, width) or (height, width, 3), not {values.shape}")
    if values.dtype != np.uint8:
        if not (values.min() >= 0 and values.max() <= 1):
            raise ValueError("an image of floats needs values in [0, 1]")
        values = np.rint(255 * values).astype(np.uint8)
    return values if values.ndim == 3 else np.repeat(values[:, :, None], 3, axis=2)


def _reduce(pictures, colors):
    """The same pictures in at most `colors` colours, common to all frames so that none flickers."""
    packed = pictures.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], dtype=np.uint32)
    found, inverse, counts = np.unique(packed, return_inverse=True, return_counts=True)
    if len(found) <= colors:
        return pictures
    rgb = (found[:, None] >> np.array([16, 8, 0]) & 255).astype(np.uint8)
    # The commonest colours (background, filled areas) stay exact, two greys keep text neutral.
    # Maximum coverage picks the others: median cut would lose a thin red line among grey pixels.
    exact = rgb[np.argsort(-counts, kind="stable")[: colors // 4]]
    greys = np.repeat(np.array([[85], [170]], dtype=np.uint8), 3, axis=1)[: colors // 8]
    others = colors - len(exact) - len(greys)
    coverage = Image.fromarray(rgb[None]).quantize(others, Image.Quantize.MAXCOVERAGE)
    coverage = np.array(coverage.getpalette(), dtype=np.uint8).reshape(-1, 3)
    palette = np.concatenate([exact, greys, coverage])
    distance = np.stack([((rgb.astype(int) - colour) ** 2).sum(axis=1) for colour in palette])
    return palette[distance.argmin(axis=0)][inverse].reshape(pictures.shape)


def encode(pictures, colors):
    """Each picture as WebP in base64."""
    how = {"quality": 60} if colors is None else {"lossless": True, "quality": 80}
    for picture in pictures if colors is None else _reduce(pictures, colors):
        buffer = io.BytesIO()
        Image.fromarray(picture).save(buffer, format="WEBP", method=4, **how)
        yield base64.b64encode(buffer.getvalue()).decode("ascii")
