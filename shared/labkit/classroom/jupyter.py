"""JupyterLab for learners: on 127.0.0.1, at the root of the collection, with a notebook open."""

from __future__ import annotations

import html
import json
import os
import sys
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from labkit.catalog.collection import find_lab
from labkit.catalog.environments import environments
from labkit.catalog.places import home


def hindrance(slug: str) -> str:
    """Why a lab cannot be opened from here; "" when it can."""
    name = find_lab(slug).card.environment
    if name not in environments() or not environments()[name].made:
        return f"Its environment is not made yet: nox -s environment -- {name}"
    if not sys.stdout.isatty():
        return "This is no terminal, so JupyterLab is not started."
    if sys.platform == "linux" and not any(os.environ.get(n) for n in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")):
        return "There is no display here, so no browser is started."
    if _is_root():
        return "You are root, for whom JupyterLab does not start without being told to."
    return ""


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def how_to_open(notebook: Path) -> str:
    """The command that opens a notebook of the workspace."""
    options = "--allow-root " if _is_root() else ""
    return f"Open it in JupyterLab: nox -s jupyter -- {options}{notebook.relative_to(home())}"


def open_notebook(notebook: Path) -> None:
    """Opens a notebook in the JupyterLab that runs here already, or in a new one, which takes this process's place."""
    server = _running()
    if server is None:
        start_jupyter([str(notebook)])
    else:
        print(f"JupyterLab runs already at {server['url']}; its window opens.", flush=True)
        webbrowser.open(_doorway(server, notebook).as_uri())


def start_jupyter(arguments: Sequence[str]) -> None:
    """Puts JupyterLab in the place of this process. It asks nobody for news or updates."""
    _ask_nobody()
    command = jupyter_command(arguments)
    sys.stdout.flush()
    os.execv(command[0], command)


def jupyter_command(arguments: Sequence[str]) -> list[str]:
    """The command line of JupyterLab; `arguments` are a notebook or options of JupyterLab."""
    start = [sys.executable, "-m", "jupyterlab", "--ServerApp.root_dir", str(home()), "--ServerApp.ip=127.0.0.1"]
    return [*start, *arguments]


def _ask_nobody() -> None:
    """JupyterLab's defaults for this environment."""
    settings = Path(sys.prefix) / "share" / "jupyter" / "lab" / "settings"
    silent = {"@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}}
    text, path = json.dumps(silent, indent=1) + "\n", settings / "overrides.json"
    try:
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            settings.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    except PermissionError:
        pass  # an environment that somebody else has made keeps its own


def _running() -> dict[str, Any] | None:
    """A Jupyter server of this user that has the collection as its root."""
    from jupyter_server.serverapp import list_running_servers

    root = home()
    return next((one for one in list_running_servers() if Path(one.get("root_dir", "")).resolve() == root), None)


def _doorway(server: dict[str, Any], notebook: Path) -> Path:
    """A page that leads to the notebook, readable by this user only.

    The address has the server's token: given to the browser as an argument, every user of the machine could read it.
    """
    from jupyter_core.paths import jupyter_runtime_dir

    place = quote(notebook.relative_to(home()).as_posix())
    token = f"?token={quote(str(server['token']))}" if server.get("token") else ""
    address = html.escape(f"{server['url']}lab/tree/{place}{token}")
    path = Path(jupyter_runtime_dir()) / f"labs-{server['pid']}-open.html"
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(f'<!DOCTYPE html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={address}">\n')
        file.write(f'<p><a href="{address}">Your notebook</a></p>\n')
    return path
