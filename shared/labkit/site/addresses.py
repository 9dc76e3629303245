"""Where a lab can be opened on the web, from one template for each place; and where its pages lie in the site."""

from __future__ import annotations

import re
import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from labkit.catalog.collection import LabFolder
from labkit.catalog.places import home
from labkit.catalog.problems import LabError

# {raw} is the address of the file's bytes, quoted, since it is a parameter of another address.
PLACES = {
    "GitHub": "https://github.com/{repository}/blob/{branch}/{path}",
    "Colab": "https://colab.research.google.com/github/{repository}/blob/{branch}/{path}",
    "Agent Platform Workbench (Vertex AI Workbench)": (
        "https://console.cloud.google.com/agent-platform/workbench/deploy-notebook?download_url={raw}"
    ),
}
RAW = "https://raw.githubusercontent.com/{repository}/{branch}/{path}"
REPOSITORY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]*)/[A-Za-z0-9._-]+")
REMOTE = re.compile(r"github\.com[:/]+(?P<repository>[^/\s]+/[^/\s]+?)(?:\.git)?/?$")


@dataclass(frozen=True)
class Published:
    """The repository on GitHub ("owner/name") and the branch that the links point to."""

    repository: str
    branch: str

    def address(self, place: str, path: str) -> str:
        """The address that opens a file of the repository at one of PLACES."""
        parts = {"repository": self.repository, "branch": quote(self.branch), "path": quote(path)}
        return PLACES[place].format(**parts, raw=quote(RAW.format(**parts), safe=""))


def published() -> Published | None:
    """What pyproject.toml says, else the remote `origin` of the checkout; None when neither names a repository."""
    settings = tomllib.loads((home() / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["labs"]
    repository, branch = str(settings.get("repository", "")), str(settings.get("branch", "main"))
    if repository and not REPOSITORY.fullmatch(repository):
        raise LabError(
            f"pyproject.toml: [tool.labs] repository = {repository!r} is not of the form owner/name. Mend it."
        )
    repository = repository or _remote()
    return Published(repository, branch) if repository else None


def _remote() -> str:
    asked = subprocess.run(
        ["git", "-C", str(home()), "remote", "get-url", "origin"], capture_output=True, text=True, check=False
    )
    found = REMOTE.search(asked.stdout.strip()) if asked.returncode == 0 else None
    return found["repository"] if found and REPOSITORY.fullmatch(found["repository"]) else ""


def open_links(lab: LabFolder, at: Published | None) -> list[tuple[str, str]]:
    """Name and address of each place that opens the lab's notebook; none where the repository is not known."""
    path = lab.notebook.relative_to(home()).as_posix()
    return [(place, at.address(place, path)) for place in PLACES] if at else []


def lab_page_path(lab: LabFolder) -> str:
    """The lab's page among the sources, from their root."""
    return f"/labs/{lab.folder.parent.name}/{lab.slug}.ipynb"


def guide_path(guide: str) -> str:
    return f"/blueprint/{guide}.md"


def topic_anchor(topic: str, guide: str) -> str:
    """The name of a topic's row on the page of a guide; unique in the site."""
    return f"{topic.lower()}-{guide}"


def document(path: str) -> str:
    """The name that Sphinx's toctree has for a source file."""
    return str(PurePosixPath(path).with_suffix(""))
