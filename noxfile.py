"""Everything that is run, in an environment made from its lock. `nox -l` lists the sessions.

Environments live in .venvs/ and are shared by the sessions; each is made when a session needs it, and made anew when
its lock has changed.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests"]
nox.options.error_on_external_run = False

ROOT = Path(__file__).parent.resolve()
VENVS = ROOT / ".venvs"
LOCKS = ROOT / "environments"
PYPROJECT = nox.project.load_toml("pyproject.toml")
ENVIRONMENTS = PYPROJECT["tool"]["labs"]["environments"]
PYTHON = "3.11"
SYSTEM = f"{platform.system()}-{platform.machine()}".lower().replace("amd64", "x86_64")
# The seed with which CI runs every lab: not the one that the notebooks are stored with.
OTHER_SEED = "7"

# What every kernel starts with.
KERNEL_VARIABLES = {
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # oneDNN's results depend on the machine's instruction set; without it a stored output stays what comes out.
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "PYTHONHASHSEED": "0",
    # A sum's last digits depend on the number of threads. The labs' matrices are small: one thread is faster, too,
    # when two labs run side by side. TensorFlow has threads of its own.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "GRPC_VERBOSITY": "ERROR",
}


def uv() -> str:
    found = shutil.which("uv")
    if found is None:
        from uv import find_uv_bin

        found = find_uv_bin()
    return found


def lock_file(name: str) -> Path:
    own = LOCKS / f"{name}-macos-arm64.txt"
    return own if SYSTEM == "darwin-arm64" and own.exists() else LOCKS / f"{name}.txt"


def python(name: str) -> str:
    return str(VENVS / name / "bin" / "python")


def labs() -> str:
    return str(VENVS / "core" / "bin" / "labs")


def environment(session: nox.Session, name: str) -> None:
    """Makes .venvs/<name> from its lock, with labkit and its Jupyter kernel; does nothing if it is there."""
    if name not in ENVIRONMENTS:
        session.error(f"No environment is called {name!r}. There are: {', '.join(ENVIRONMENTS)}.")
    declared = ENVIRONMENTS[name]
    platforms = declared.get("platforms", [])
    if platforms and SYSTEM not in platforms:
        session.error(f"The environment {name} has packages for {', '.join(platforms)} only: use the devcontainer.")
    folder, lock = VENVS / name, lock_file(name)
    if not lock.exists():
        session.error(f"There is no {lock.relative_to(ROOT)}. A class's archive has the locks that its labs need.")
    # The project's own table counts as well: the `labs` command is installed from it.
    project = json.dumps(PYPROJECT["project"], sort_keys=True).encode()
    stamp, wanted = folder / "made-from", hashlib.sha256(lock.read_bytes() + project).hexdigest()
    if not (stamp.exists() and stamp.read_text().strip() == wanted):
        session.log(f"making {folder} from {lock.relative_to(ROOT)}")
        stamp.unlink(missing_ok=True)
        if not (folder / "bin" / "python").exists():
            session.run(uv(), "venv", "--quiet", "--python", PYTHON, str(folder))
        session.run(
            *(uv(), "pip", "sync", "--python", python(name), "--require-hashes", "--compile-bytecode", str(lock))
        )
        if declared.get("kernel") or declared.get("labkit"):
            # setuptools comes with the lock: nothing is fetched to build.
            install = (uv(), "pip", "install", "--quiet", "--python", python(name), "--no-deps", "--no-build-isolation")
            session.run(*install, "--editable", str(ROOT))
        stamp.write_text(wanted + "\n")
    if declared.get("kernel"):
        write_kernel(name, declared["kernel"])


def write_kernel(name: str, title: str) -> None:
    """A kernelspec holds absolute paths, so it is made here and never committed. JupyterLab runs in core."""
    folder = VENVS / "core" / "share" / "jupyter" / "kernels" / f"labs-{name}"
    folder.mkdir(parents=True, exist_ok=True)
    # What C++ libraries write (TensorFlow: "no GPU here") goes to the server's log, not under the learner's cell.
    quiet = "--IPKernelApp.capture_fd_output=False"
    spec = {
        "argv": [python(name), "-m", "ipykernel_launcher", "-f", "{connection_file}", quiet],
        "display_name": title,
        "language": "python",
        "env": KERNEL_VARIABLES | {"PATH": f"{VENVS / name / 'bin'}{os.pathsep}${{PATH}}"},
        "metadata": {"debugger": True},
    }
    (folder / "kernel.json").write_text(json.dumps(spec, indent=1) + "\n")


def prepare(session: nox.Session, slugs: list[str] | None = None) -> None:
    """Makes core and the environments of the named labs; of all labs for None. Other arguments are passed over."""
    cards = sorted((ROOT / "labs").glob("[1-6]-*/*/lab.toml"))
    wanted = [card for card in cards if slugs is None or card.parent.name in slugs]
    for name in dict.fromkeys(["core", *(nox.project.load_toml(card)["environment"] for card in wanted)]):
        environment(session, name)


def slugs_of(posargs: list[str]) -> list[str] | None:
    """The labs among the arguments of a session, or None for all."""
    there = {card.parent.name for card in (ROOT / "labs").glob("[1-6]-*/*/lab.toml")}
    return [arg for arg in posargs if arg in there] or None


def shard_of(posargs: list[str]) -> list[str]:
    """--shard i/n among the arguments of a session, as arguments for `labs`."""
    return ["--shard", posargs[posargs.index("--shard") + 1]] if "--shard" in posargs else []


@nox.session(name="environment")
def make_environment(session: nox.Session) -> None:
    """nox -s environment -- core tfx: makes environments from their locks."""
    for name in session.posargs or ["core"]:
        environment(session, name)


@nox.session
def lab(session: nox.Session) -> None:
    """nox -s lab -- <slug> [--seed N] [-p NAME=VALUE]: environment and one lab, from nothing."""
    if not session.posargs:
        session.error("Name a lab: nox -s lab -- leakage-and-time-splits")
    prepare(session, session.posargs)
    session.run(labs(), "run", *session.posargs)


@nox.session
def jupyter(session: nox.Session) -> None:
    """JupyterLab with the kernels of both environments; further arguments go to it."""
    environment(session, "core")
    # A class's archive has the locks that its labs need.
    if SYSTEM in ENVIRONMENTS["tfx"]["platforms"] and lock_file("tfx").exists():
        environment(session, "tfx")
    session.run(labs(), "jupyter", *session.posargs)


@nox.session
def tests(session: nox.Session) -> None:
    """Everything that CI runs. `-- --shard i/n` runs part i of the labs, and the checks of the code in part 1.

    `-- --cold`: every kernel imports for itself, as a learner's does; else they are forked with the imports done.
    """
    shard, cold = shard_of(session.posargs), ["--cold"] if "--cold" in session.posargs else []
    first = not shard or shard[1].startswith("1/")
    prepare(session)
    if first:
        check_code(session)
    check_labs(session, shard, cold)


def check_code(session: nox.Session) -> None:
    """ruff, types, labkit's tests, structure of the labs."""
    environment(session, "dev")
    tool = VENVS / "dev" / "bin"
    session.run(str(tool / "ruff"), "check", ".")
    session.run(str(tool / "ruff"), "format", "--check", ".")
    session.run(str(tool / "mypy"), "--python-executable", python("core"))
    # What an earlier run has seen of the local Vertex AI does not count for this one.
    shutil.rmtree(ROOT / ".work" / "vertex-methods", ignore_errors=True)
    # The tests wait for kernels and servers a third of their time: one process more than there are cores.
    processes = str(1 + (os.cpu_count() or 1))
    session.run(
        python("core"), "-m", "pytest", "-c", "ci/pytest.ini", "--rootdir", ".", "-n", processes, "shared/tests"
    )
    environment(session, "vizier")
    tuning = "shared/tests/localgcp/vertex/tuning_on_vizier.py"
    session.run(python("vizier"), "-m", "pytest", "-c", "ci/pytest.ini", "--rootdir", ".", tuning)
    session.run(python("core"), "ci/vertex_methods.py")
    session.run(labs(), "lint")
    session.run(labs(), "coverage")
    session.run(labs(), "readme", "--check")


def check_labs(session: nox.Session, shard: list[str], cold: list[str]) -> None:
    """Every lab worked with another seed, every untouched learner's copy, every committed notebook."""
    # Labs on Vertex AI go the way of TARGET="vertex" here; the copies and the notebooks below go the local one.
    session.run(labs(), "run", "--rehearse", "--seed", OTHER_SEED, *shard, *cold)
    environment(session, "dev")
    session.run(python("dev"), "ci/sql_grammar.py")
    session.run(labs(), "exercises", "--seed", OTHER_SEED, *shard, *cold)
    committed = listed(shard)
    if committed:
        session.run(python("core"), "ci/golden_requests.py", *(Path(path).parent.name for path in committed))
    # The cells tagged nbval-check-output give what is stored.
    session.run(labs(), "nbval", *shard, *cold)


def listed(shard: list[str]) -> list[str]:
    """The committed notebooks of a part of the labs."""
    return subprocess.run([labs(), "notebooks", *shard], capture_output=True, text=True, check=True).stdout.split()


@nox.session
def ablations(session: nox.Session) -> None:
    """Runs labs with their effect switched off; each must fail a claim. Arguments as of `labs ablate`."""
    prepare(session, slugs_of(session.posargs))
    session.run(labs(), "ablate", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Measures local services and runner against their limits; no part of the tests, since it needs a quiet machine.

    `-- runner` measures the runner alone, with further arguments for ci/bench_runner.py; it takes an hour and more.
    """
    prepare(session)
    if session.posargs[:1] == ["runner"]:
        environment(session, "bench")
        session.run(python("core"), "ci/bench_runner.py", *session.posargs[1:])
        return
    session.run(python("core"), "ci/bench_bigquery.py", env=KERNEL_VARIABLES)
    session.run(python("core"), "ci/bench_vertex.py", env=KERNEL_VARIABLES)


@nox.session
def warm(session: nox.Session) -> None:
    """Shows on every lab that a warm kernel gives what a cold one gives. Arguments: slugs."""
    prepare(session, slugs_of(session.posargs))
    session.run(python("core"), "ci/warm_and_cold.py", *session.posargs)


@nox.session
def dask(session: nox.Session) -> None:
    """Tests that runs of labs on Dask give what they give without; the weekly run does so."""
    environment(session, "core")
    environment(session, "dask")
    on_dask = "shared/tests/runner/on_dask.py"
    session.run(python("dask"), "-m", "pytest", "-c", "ci/pytest.ini", "--rootdir", ".", on_dask)


@nox.session
def build(session: nox.Session) -> None:
    """Builds and executes lab.ipynb from lab.py. Arguments: slugs."""
    prepare(session, slugs_of(session.posargs))
    session.run(labs(), "build", *session.posargs)
    session.run(labs(), "readme")


@nox.session
def site(session: nox.Session) -> None:
    """The pages of all labs, into .work/site/html. `-- --check` also looks at each in a browser (Chromium)."""
    environment(session, "core")
    environment(session, "site")
    work = ROOT / ".work" / "site"
    shutil.rmtree(work / "html", ignore_errors=True)
    session.run(python("core"), "-m", "labkit.site", str(work / "source"))
    session.run(
        *(python("site"), "-m", "sphinx", "-b", "html", "-W", "--keep-going", "--quiet", "-j", "2"),
        *("-d", str(work / "doctrees"), str(work / "source"), str(work / "html")),
    )
    session.log(f"open {work / 'html' / 'index.html'}")
    if "--check" in session.posargs:
        # First that the check sees what is planted, then the pages.
        session.run(python("core"), "-m", "pytest", "-c", "ci/pytest.ini", "--rootdir", ".", "shared/tests/site")
        session.run(python("site"), "ci/site_check.py", str(work / "html"), "--shots", str(work / "shots"))


@nox.session
def learner(session: nox.Session) -> None:
    """Does three labs as a learner does, in JupyterLab in a browser (Chromium). Arguments: other slugs, --keep."""
    environment(session, "core")
    environment(session, "site")
    session.run(python("site"), "ci/learner_in_browser.py", *session.posargs)


@nox.session
def classroom(session: nox.Session) -> None:
    """A class of 30 made-up learners, collected, graded, reported, and compared with the known truth."""
    environment(session, "core")
    session.run(python("core"), "ci/class_of_30.py", *session.posargs)


@nox.session
def lock(session: nox.Session) -> None:
    """Renews the hashed locks in environments/; names renew only those. `-- --upgrade` takes the newest versions."""
    names = [arg for arg in session.posargs if not arg.startswith("-")] or list(ENVIRONMENTS)
    options = [arg for arg in session.posargs if arg.startswith("-")]
    for name in names:
        declared = ENVIRONMENTS[name]
        shares = ["--constraints", str(LOCKS / f"{declared['shares']}.txt")] if "shares" in declared else []
        compile_lock(session, name, "x86_64-manylinux_2_28", LOCKS / f"{name}.txt", shares + options)
        if name == "core":
            mac = ["--constraints", str(LOCKS / "core.txt")]
            compile_lock(session, name, "aarch64-apple-darwin", LOCKS / "core-macos-arm64.txt", mac + options)


def compile_lock(session: nox.Session, name: str, system: str, path: Path, options: list[str]) -> None:
    session.run(
        *(uv(), "pip", "compile", "--quiet", "--group", ENVIRONMENTS[name]["group"], "--generate-hashes"),
        *("--python-version", PYTHON, "--python-platform", system, "--no-header", "--output-file", str(path)),
        *options,
    )
    # uv writes an address only when an index is set by hand; a lock with one would not be installable elsewhere.
    if "://" in path.read_text():
        session.error(f"{path} holds an address. Remove --index-url and the like from uv's configuration.")


if __name__ == "__main__":
    sys.exit("Run me with nox: nox -l lists the sessions.")
