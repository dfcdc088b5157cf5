"""Each helper draws what it was given: the data are read back from the axes."""

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from gan_lib import data, figures
from gan_lib.networks import mlp
from gan_lib.training import History


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close("all")


def pixels(ax):
    return np.asarray(ax.images[0].get_array())


@pytest.mark.parametrize("n, columns, rows", [(1, 1, 1), (6, 3, 2), (7, 3, 3), (2, 5, 1)])
@pytest.mark.parametrize("flat", [True, False])
def test_sample_grid_puts_each_image_in_its_place(n, columns, rows, flat, ax):
    x = torch.rand(n, 4, 4, generator=torch.manual_seed(0), requires_grad=True)
    returned = figures.sample_grid(x.flatten(1) if flat else x, columns, ax)
    assert returned is ax
    canvas = pixels(ax)
    assert canvas.shape == (4 * rows, 4 * columns)
    for place in range(rows * columns):
        i, j = 4 * (place // columns), 4 * (place % columns)
        expected = x[place].detach() if place < n else torch.zeros(4, 4)
        np.testing.assert_array_equal(canvas[i : i + 4, j : j + 4], expected)


def test_sample_grid_has_ink_dark_and_a_fixed_scale():
    ax = figures.sample_grid(torch.full((2, 9), 0.5))
    image = ax.images[0]
    assert image.get_clim() == (0, 1), "or grey images would be stretched to black and white"
    ink, paper = image.cmap(1.0)[:3], image.cmap(0.0)[:3]
    assert sum(ink) == pytest.approx(0, abs=0.01) and sum(paper) == pytest.approx(3, abs=0.01)
    plt.close("all")


def test_sample_grid_refuses_what_is_not_square(ax):
    with pytest.raises(ValueError, match="10 numbers are not square"):
        figures.sample_grid(torch.zeros(3, 10), ax=ax)


def test_density_draws_the_density(ax):
    p = data.gaussian(1.0, 0.5)
    figures.density(ax, p, -1, 3, "data")
    x, y = ax.lines[0].get_data()
    np.testing.assert_allclose(
        y, np.exp(-2 * (x - 1) ** 2) / (0.5 * np.sqrt(2 * np.pi)), rtol=1e-10
    )
    assert x.min() == -1 and x.max() == 3 and ax.lines[0].get_label() == "data"
    assert len(ax.collections) == 1
    figures.density(ax, p, -1, 3, "again", fill=False)
    assert len(ax.collections) == 1


def test_critic_curve_draws_probabilities(ax):
    critic = mlp([1, 4, 1], scalar=True, device="cpu")
    figures.critic_curve(ax, critic, -2, 2, color="red")
    x, y = ax.lines[0].get_data()
    logits = critic(torch.as_tensor(x).unsqueeze(-1)).detach().numpy()
    np.testing.assert_allclose(y, 1 / (1 + np.exp(-logits)))
    assert ax.lines[0].get_color() == "red"


def test_scatter_draws_the_points_on_equal_scales(ax):
    points = torch.randn(20, 2, generator=torch.manual_seed(0), requires_grad=True)
    figures.scatter(ax, points, "generator")
    np.testing.assert_allclose(ax.collections[0].get_offsets(), points.detach(), rtol=1e-6)
    assert ax.get_aspect() == 1


def test_seed_band_is_the_median_and_the_range(ax):
    values = torch.tensor([[1.0, 5.0, 2.0], [4.0, 0.0, 3.0]])
    figures.seed_band(ax, [10, 20], values, "seeds")
    assert ax.lines[0].get_xydata().tolist() == [[10, 2], [20, 3]]
    corners = ax.collections[0].get_paths()[0].vertices
    assert {(10, 1), (10, 5), (20, 0), (20, 4)} <= {tuple(c) for c in corners.tolist()}


@pytest.mark.parametrize("members", [(), (3,)])
@pytest.mark.parametrize("step", [100, 110])
def test_loss_curves_average_whole_blocks_of_done_steps(members, step, ax):
    critic_loss = torch.rand(120, *members, generator=torch.manual_seed(0))
    critic_loss[step:] = torch.nan
    figures.loss_curves(ax, History(critic_loss, 2 * critic_loss, step), smooth=25)
    blocks = critic_loss[:100].reshape(4, 25, -1).mean(1).median(-1).values
    np.testing.assert_allclose(ax.lines[0].get_ydata(), blocks, rtol=1e-5)
    np.testing.assert_allclose(ax.lines[1].get_ydata(), 2 * blocks, rtol=1e-5)
    assert ax.lines[0].get_xdata().tolist() == [12.5, 37.5, 62.5, 87.5]
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["discriminator", "generator"]


def test_loss_curves_of_a_run_shorter_than_a_block(ax):
    figures.loss_curves(ax, History(torch.ones(7), torch.ones(7), 7), smooth=25)
    assert ax.lines[0].get_ydata().tolist() == [1]
