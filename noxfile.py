"""Every check of the project, each in an environment of its own: `nox -l` lists them."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "tests", "wheel"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite on one Python."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Hold the code against ruff's rules and format."""
    session.install("ruff>=0.14")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types with mypy and pyright."""
    session.install("-e", ".[dev]")
    session.run("mypy")
    session.run("pyright")


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure branch coverage. `coverage run` sees imports that a pytest plugin would miss."""
    session.install("-e", ".[dev]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n", "0", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def docs(session: nox.Session) -> None:
    """Write the reference of the public names into `site/`."""
    session.install("-e", ".[dev]")
    session.run(
        "pdoc", "--docformat", "google", "-o", "site", "aiozilliz", "aiozilliz.testing", "!aiozilliz.cli"
    )


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, and run the suite against it where no checkout can hide what it lacks."""
    session.install("build")
    with TemporaryDirectory() as folder:
        work = Path(folder)
        session.run("python", "-m", "build", "--outdir", str(work / "dist"))
        built = next((work / "dist").glob("*.whl"))
        session.install("--force-reinstall", f"aiozilliz[dev] @ {built.as_uri()}")
        for name in ("tests", "benchmarks"):
            shutil.copytree(name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in ("README.md", "CHANGELOG.md", "LICENSE", "noxfile.py", "pyproject.toml"):
            shutil.copy(name, work)
        with session.chdir(work):
            session.run("pytest", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Compare with other clients, in one run on one machine."""
    session.install("-e", ".[bench]")
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=PYTHONS[0])
def guard(session: nox.Session) -> None:
    """Count a walk's instructions, with the versions whose count is noted; `-- --renew` notes them anew."""
    noted = json.loads(Path("benchmarks/instructions.json").read_text(encoding="utf-8"))
    pins = [f"{name}=={version}" for name, version in noted["packages"].items()]
    session.install("-e", ".[bench]", *pins)
    session.run("python", "-m", "benchmarks.guard", *session.posargs)


@nox.session
def exhaustive(session: nox.Session) -> None:
    """Run the suite with every small list, page size and change: minutes, not seconds."""
    session.install("-e", ".[dev]")
    session.run("pytest", *session.posargs, env={**os.environ, "AIOZILLIZ_EXHAUSTIVE": "1"})
