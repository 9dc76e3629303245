"""One look for all plots: readable on a projector, small enough to store in a notebook."""

from __future__ import annotations

from typing import Any

STYLE: dict[str, Any] = {
    "figure.dpi": 72,
    "figure.figsize": (7.0, 3.4),
    "figure.constrained_layout.use": True,
    "axes.grid": True,
    "grid.alpha": 0.3,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": "medium",
}


def use_style() -> None:
    """Sets matplotlib's defaults, where it is installed; the colours are told apart by the colour-blind."""
    try:
        import matplotlib
        from cycler import cycler
    except ImportError:
        return
    colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"]
    for name, value in STYLE.items():
        matplotlib.rcParams[name] = value  # type: ignore[index]
    matplotlib.rcParams["axes.prop_cycle"] = cycler(color=colours)
