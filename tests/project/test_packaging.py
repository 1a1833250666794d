from __future__ import annotations

import re
import subprocess
import tomllib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import aiozilliz

ROOT = Path(__file__).parents[2]
LOCK_FILES = {
    "Pipfile.lock",
    "package-lock.json",
    "pdm.lock",
    "pixi.lock",
    "poetry.lock",
    "pylock.toml",
    "uv.lock",
    "yarn.lock",
}
# In parts, so that this file does not name them either.
REGISTRIES = [
    ".".join(parts)
    for parts in [
        ("pypi", "org"),
        ("pypi", "python", "org"),
        ("pythonhosted", "org"),
        ("npmjs", "org"),
        ("npmjs", "com"),
        ("anaconda", "org"),
        ("crates", "io"),
    ]
]
GENERATED = {"__pycache__", "build", "dist", "node_modules", "site"}


@pytest.fixture(scope="module")
def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-z"],  # noqa: S607 - whichever git the developer has
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        listed = ""
    found = [ROOT / name for name in listed.split("\0") if name] or [
        path
        for path in ROOT.rglob("*")
        if not any(
            part in GENERATED or (part.startswith(".") and part != ".ci")
            for part in path.relative_to(ROOT).parts
        )
    ]
    return [path for path in found if path.is_file()]


def test_the_version_is_the_changelog_s_newest() -> None:
    headings = re.findall(r"^## \[?([^\]\s]+)\]?", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    versions = [heading for heading in headings if heading != "Unreleased"]

    assert versions[0] == aiozilliz.__version__


def test_the_wheel_takes_the_package_with_its_type_marker(pyproject: dict[str, Any]) -> None:
    wheel = pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]

    assert wheel["packages"] == ["aiozilliz"]
    assert not wheel.keys() & {"exclude", "only-include"}
    assert (Path(aiozilliz.__file__).parent / "py.typed").read_bytes() == b""


def test_files_that_the_metadata_names_are_there(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]

    for name in [project["readme"], *project["license-files"]]:
        assert (ROOT / name).stat().st_size > 1000
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")


def test_the_classifiers_name_every_python_from_the_oldest_on(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    minors = [
        int(found[1])
        for classifier in project["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: 3\.(\d+)", classifier))
    ]

    assert project["requires-python"] == f">=3.{minors[0]}"
    assert all(following == minor + 1 for minor, following in pairwise(minors))


def test_dependencies_have_a_lowest_version_and_no_highest(pyproject: dict[str, Any]) -> None:
    project = pyproject["project"]
    lists = [
        project["dependencies"],
        *project["optional-dependencies"].values(),
        *pyproject["dependency-groups"].values(),
    ]
    required = [
        name
        for listed in lists
        for name in listed
        if isinstance(name, str) and not name.startswith("aiozilliz[")
    ]

    assert len(required) > 25
    for requirement in required:
        assert re.fullmatch(r"[a-z\d-]+(\[[a-z]+\])?>=[\d.]+(b\d)?(; sys_platform .*)?", requirement), (
            requirement
        )


def test_each_floor_that_users_meet_has_a_reason_beside_it() -> None:
    text = (ROOT / "pyproject.toml").read_text("utf-8")
    section = text[text.index("dependencies = [") : text.index("[dependency-groups]")]
    floors = [line for line in section.splitlines() if ">=" in line and not line.startswith("#")]

    assert len(floors) == 11
    assert [line for line in floors if not re.search(r"\S +# \S", line)] == []


def test_extras_are_for_users_only(pyproject: dict[str, Any]) -> None:
    assert set(pyproject["project"]["optional-dependencies"]) == {"cli", "report", "testing"}


def test_the_readme_reads_alike_in_a_checkout_and_on_a_page_of_an_index() -> None:
    # There a relative link leads nowhere. Files are named instead, and shipped.
    text = (ROOT / "README.md").read_text("utf-8")
    links = re.findall(r"\]\(([^)\s]+)\)", text)
    named = re.findall(r"`((?:[\w.-]+/)*(?:[A-Z]\w*\.md|(?<=/)))`", text)

    assert [link for link in links if not link.startswith("https://")] == []
    assert {"SECURITY.md", "benchmarks/README.md"} <= set(named)
    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_lock_file_is_tracked() -> None:
    assert not [path for path in tracked_files() if path.name in LOCK_FILES]


def test_no_tracked_file_names_a_registry() -> None:
    files = tracked_files()
    naming = [
        f"{path.relative_to(ROOT)}: {host}"
        for path in files
        for host in REGISTRIES
        if host in path.read_text("utf-8", errors="replace")
    ]

    assert ROOT / "pyproject.toml" in files
    assert naming == []
