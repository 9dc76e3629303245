"""Buttons where a front end can show them, and the same content as HTML and text everywhere else."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from labkit.lesson.messages import Message, in_notebook


def show_with_buttons(
    message: Message, make: Callable[[], Any], html: str | None = None, text: str | None = None
) -> None:
    """Displays a widget with `message` (or the html and text given) beside it for front ends without widgets.

    $LABKIT_HEADLESS leaves the widget out: a stored notebook would otherwise show a model that no kernel has.
    """
    if not in_notebook():
        print(text or message.text())
        return
    bundle: dict[str, Any] = {"text/plain": text or message.text(), "text/html": html or message.html()}
    if not os.environ.get("LABKIT_HEADLESS"):
        try:
            widget = make()
        except ImportError:
            pass
        else:
            view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
            bundle["application/vnd.jupyter.widget-view+json"] = view
    from IPython.display import display

    display(bundle, raw=True)
