"""What a plot is called when it is not seen."""

from __future__ import annotations

import pytest
from labkit.site.alternative_text import alternative_text


@pytest.mark.parametrize(
    "source, words",
    [
        ("ax.set(title='A', xlabel='x, m', ylabel='y')", "Plot: A. x axis: x, m. y axis: y"),
        ("axes[0].set_title('A')\naxes[1].set_title('B')", "Plot: A; B"),
        ("fig.suptitle(f'Unit {u}: dead')", "Plot: Unit …: dead"),
        ("plt.title('A\\nB'); plt.title('A B')", "Plot: A B"),
        ("plt.plot(x)", "Plot made by the code above"),
        ("ax.set(title=name)", "Plot made by the code above"),
        ("ax.set(ylabel='loss')", "Plot made by the code above. y axis: loss"),
        ("%%bigquery x\nSELECT 1", "Plot made by the code above"),
    ],
)
def test_titles_and_axes_of_the_code_are_the_text(source: str, words: str) -> None:
    assert alternative_text(source) == words
