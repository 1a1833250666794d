"""Every check of the project, each in an environment of its own: `nox -l` lists them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import nox

# Each wraps aiohttp in a way of its own. The wheel of apache-skywalking 1.3.0 lacks a package of its own; ddtrace 4.7.1
# writes into the headers, whatever they are.
AGENTS = (
    "apache-skywalking<1.3",
    "aws-xray-sdk",
    "ddtrace",
    "ddtrace==4.7.1",
    "elastic-apm",
    "instana",
    "logfire[aiohttp-client]",
    "newrelic",
    "opentelemetry-instrumentation-aiohttp-client opentelemetry-sdk",
    "sentry-sdk",
)
# What `mutation` changes, below `aiozilliz`, and the tests below `tests/unit` that have to notice.
PURE = {
    "_http/header_times": ("http/test_wire.py",),
    "_http/retry": ("http/test_retry.py", "http/test_retry_log.py", "http/test_request.py"),
    "_http/wire": ("http/test_wire.py",),
    "_iteration/changes": ("iteration/test_changes.py",),
    **{
        f"_pagination/{path.stem}": ("pagination",)
        for path in sorted(Path("aiozilliz/_pagination").glob("[a-z]*.py"))
    },
}
PYPROJECT = nox.project.load_toml("pyproject.toml")
PYTHONS = nox.project.python_versions(PYPROJECT)
GROUPS = partial(nox.project.dependency_groups, PYPROJECT)
HERE = ("-e", ".[cli,testing]")

nox.options.default_venv_backend = "venv"
nox.options.error_on_missing_interpreters = False
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "typing", "tests", "wheel"]


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the test suite on one Python."""
    session.install(*HERE, *GROUPS("dev"))
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the suite on the oldest Python with the oldest version of everything that `pyproject.toml` names."""
    session.install("uv")
    python = str(Path(session.bin) / "python")
    session.run(
        "uv", "pip", "install", "--python", python, "--resolution", "lowest-direct", *HERE, *GROUPS("dev")
    )
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[-1])
def newest(session: nox.Session) -> None:
    """Run the suite on the newest Python with the newest version of everything."""
    session.install("--upgrade", "--upgrade-strategy", "eager", *HERE, *GROUPS("dev"))
    session.run("pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
@nox.parametrize("agent", AGENTS)
def agents(session: nox.Session, agent: str) -> None:
    """Use the client under an agent that wraps aiohttp, in an environment of its own: agents do not get on."""
    session.install(
        "-e", ".[testing]", "hypothesis", "pytest-asyncio", "pytest-xdist", "rich", *agent.split()
    )
    session.run("pytest", "-n", "0", "tests/embedding/agents", *session.posargs)


@nox.session(name="uvloop")
def under_uvloop(session: nox.Session) -> None:
    """Run the suite under uvloop, but for tests that bring a loop of their own."""
    session.install(*HERE, *GROUPS("dev"))
    session.run("pytest", *session.posargs, env={**os.environ, "AIOZILLIZ_UVLOOP": "1"})


@nox.session
def devmode(session: nox.Session) -> None:
    """Run the suite in Python's development mode, in which more goes wrong aloud."""
    session.install(*HERE, *GROUPS("dev"))
    session.run("python", "-W", "error", "-X", "dev", "-m", "pytest", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Hold the code against ruff's rules and format."""
    session.install(*GROUPS("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types with mypy and pyright."""
    session.install(*HERE, *GROUPS("dev"))
    session.run("mypy")
    session.run("pyright")


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure branch coverage. `coverage run` sees imports that a pytest plugin would miss."""
    session.install(*HERE, *GROUPS("dev"))
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n", "0", *session.posargs)
    session.run("coverage", "combine")
    session.run("coverage", "report")


@nox.session
def docs(session: nox.Session) -> None:
    """Write the reference of the public names into `site/`. A warning is an error."""
    session.install("-e", ".", *GROUPS("docs"))
    session.run(
        *("python", "-W", "error", "-m", "pdoc", "--docformat", "google", "--no-show-source"),
        *("-o", "site"),
        *("aiozilliz", "aiozilliz.testing", "!aiozilliz.cli"),
    )


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel, and run the suite against it where no checkout can hide what it lacks."""
    session.install("build")
    with TemporaryDirectory() as folder:
        work = Path(folder)
        session.run("python", "-m", "build", "--outdir", str(work / "dist"))
        built = next((work / "dist").glob("*.whl"))
        session.install("--force-reinstall", f"aiozilliz[cli,testing] @ {built.as_uri()}", *GROUPS("dev"))
        for name in ("tests", "benchmarks"):
            shutil.copytree(name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in (
            "README.md",
            "COOKBOOK.md",
            "CONTRIBUTING.md",
            "SECURITY.md",
            "CHANGELOG.md",
            "LICENSE",
            "noxfile.py",
            "pyproject.toml",
        ):
            shutil.copy(name, work)
        with session.chdir(work):
            session.run("pytest", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """Rehearse a release: build, check, and use what was built where nothing else is installed."""
    session.install("build", "twine")
    with TemporaryDirectory() as folder:
        work = Path(folder).resolve()
        session.run(
            "python", "-m", "build", "--outdir", str(work / "dist")
        )  # the wheel is built from the sdist
        sdist, built = next((work / "dist").glob("*.tar.gz")), next((work / "dist").glob("*.whl"))
        session.run("twine", "check", "--strict", str(sdist), str(built))
        with tarfile.open(sdist) as archive:
            names = {name.partition("/")[2] for name in archive.getnames()}
        for name in (
            "tests/conftest.py",
            "tests/project/api.txt",
            "benchmarks/soak/__main__.py",
            "noxfile.py",
            "README.md",
        ):
            if name not in names:
                session.error(f"{sdist.name} has no {name}")
        readme = Path("README.md").read_text(encoding="utf-8")
        (work / "first.py").write_text(readme.split("```python\n")[1].split("```")[0], encoding="utf-8")
        session.run("python", "-m", "venv", str(work / "bare"))
        python = str(work / "bare" / "bin" / "python")
        with session.chdir(work):
            session.run(python, "-m", "pip", "install", "-q", str(built), external=True)
            _run_first_program(session, work, python)
            session.run(
                python, "-m", "pip", "install", "-q", f"aiozilliz[cli] @ {built.as_uri()}", external=True
            )
            session.run(
                str(work / "bare" / "bin" / "aiozilliz"), "list", "--demo", external=True, silent=True
            )


def _run_first_program(session: nox.Session, work: Path, python: str) -> None:
    """Run the README's first program against the fake that was installed with it, with the CLI's files for a set-up."""
    command = [python, "-m", "aiozilliz.testing", "--clusters", "3", "--api-key", "k"]
    with subprocess.Popen(command, cwd=work, stdout=subprocess.PIPE, text=True) as fake:  # noqa: S603  # our own
        try:
            assert fake.stdout is not None
            url = fake.stdout.readline().strip()
            (work / "credentials").write_text("[default]\napi_key = k\n", encoding="utf-8")
            (work / "config").write_text(f"[default]\nbase_url = {url}\n", encoding="utf-8")
            told = session.run(
                python,
                "first.py",
                external=True,
                silent=True,
                env={**os.environ, "ZILLIZ_CONFIG_DIR": str(work), "ZILLIZ_API_KEY": ""},
            )
        finally:
            fake.terminate()
    if len(str(told).splitlines()) != 3:  # noqa: PLR2004  # clusters that were asked for
        session.error(f"the README's first program gave {told!r}, not 3 clusters")


@nox.session
def bench(session: nox.Session) -> None:
    """Compare with other clients, in one run on one machine."""
    session.install(*HERE, *GROUPS("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session(python=PYTHONS[0])
def guard(session: nox.Session) -> None:
    """Count a walk's instructions, with the versions whose count is noted; `-- --renew` notes them anew."""
    noted = json.loads(Path("benchmarks/instructions.json").read_text(encoding="utf-8"))
    pins = [f"{name}=={version}" for name, version in noted["packages"].items()]
    session.install(*HERE, *GROUPS("bench"), *pins)
    session.run("python", "-m", "benchmarks.guard", *session.posargs)


@nox.session(python=PYTHONS[0])
def fuzz(session: nox.Session) -> None:
    """Fuzz the decoders, guided by coverage: a minute each, or the one that is named."""
    session.install("-e", ".[cli]", "atheris")
    for name in session.posargs or ("answer", "snapshot", "report", "organisations"):
        session.run("python", "-m", "tests.fuzz.guided", name)


@nox.session(python=PYTHONS)
def chaos(session: nox.Session) -> None:
    """Walk over lists that move, by chance: `-- --seed 7 --seconds 60`, or `--walks 30000`."""
    session.install("-e", ".[testing]")
    session.run("python", "-m", "tests.fuzz.chaos", *session.posargs)


@nox.session(python=PYTHONS)
@nox.parametrize("loop", ["asyncio", "uvloop"])
def soak(session: nox.Session, loop: str) -> None:
    """Soak on one Python and loop: `-- --seed 7 --seconds 60`, or `--operations 2000`."""
    session.install("-e", ".[testing]", "uvloop", *GROUPS("bench"))
    if loop == "asyncio" and session.python != "3.11":
        loop = "eager"
    session.run("python", "-m", "benchmarks.soak", "--loop", loop, *session.posargs)


@nox.session
def contract(session: nox.Session) -> None:
    """Hold the fake against the OpenAPI description of the service, with requests that schemathesis makes up."""
    session.install("-e", ".", "schemathesis>=4.32")
    command = [str(Path(session.bin) / "python"), "-m", "aiozilliz.testing", "--api-key", "k"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as fake:  # noqa: S603  # our own
        try:
            assert fake.stdout is not None
            url = fake.stdout.readline().strip()
            session.run(
                *("schemathesis", "run", "tests/testing/openapi.yaml", "--url", url),
                *("-H", "Authorization: Bearer k", "--max-examples", "300"),
                *(
                    "--exclude-checks",
                    "negative_data_rejection",
                ),  # tests/testing/contract.py has a better one
                *session.posargs,
                env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.testing.contract"},
            )
        finally:
            fake.terminate()


@nox.session
def exhaustive(session: nox.Session) -> None:
    """Run the suite with every small list, page size and change: minutes, not seconds."""
    session.install(*HERE, *GROUPS("dev"))
    session.run("pytest", *session.posargs, env={**os.environ, "AIOZILLIZ_EXHAUSTIVE": "1"})


@nox.session(python=PYTHONS[0])
def mutation(session: nox.Session) -> None:
    """Change pure modules, line by line, and see whether their unit tests fail: all, or those that are named."""
    session.install(*HERE, *GROUPS("dev"), "mutmut>=3.8")
    for name in session.posargs or PURE:
        with TemporaryDirectory() as folder:
            work = Path(folder)
            for part in ("aiozilliz", "tests"):
                shutil.copytree(part, work / part, ignore=shutil.ignore_patterns("__pycache__"))
            shutil.copy("pyproject.toml", work)
            settings = {
                "source_paths": ["aiozilliz"],
                "only_mutate": [f"aiozilliz/{name}.py"],
                "pytest_add_cli_args": ["-n", "0", "-p", "no:cacheprovider"],
                "pytest_add_cli_args_test_selection": [f"tests/unit/{tests}" for tests in PURE[name]],
                "timeout_multiplier": ["60"],
            }
            lines = ("\n  ".join([f"{key}=", *values]) for key, values in settings.items())
            (work / "setup.cfg").write_text("\n".join(["[mutmut]", *lines, ""]), encoding="utf-8")
            with session.chdir(work):
                session.run("mutmut", "run")
                session.run("mutmut", "results")
