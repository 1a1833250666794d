"""Files that other users may read or change are warned about on standard error."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from aiozilliz.cli import main
from aiozilliz.testing import FakeZillizCloud

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")

KEY = "key-of-a-test"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path, None, None]:
    """A folder of the official command line that leads to a fake cloud, and in which all is as it should be."""
    folder = tmp_path / "zilliz"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))
    monkeypatch.delenv("ZILLIZ_API_KEY", raising=False)
    with FakeZillizCloud(clusters=2, api_key=KEY) as cloud:
        for name, text in (
            ("credentials", f"[default]\napi_key = {KEY}\n[org.1]\napi_key = {KEY}\n"),
            ("config", f"[default]\nbase_url = {cloud.url}\n"),
            ("key", KEY),
        ):
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(0o600)
        yield folder


@pytest.mark.parametrize("args", [[], ["--all-orgs"]], ids=["one", "all"])
@pytest.mark.parametrize(
    ("name", "mode", "says"),
    [
        ("credentials", 0o644, "credentials can be read by other users"),
        ("credentials", 0o620, "credentials can be changed by other users"),
        ("config", 0o666, "config can be changed by other users"),
        (".", 0o777, "config can be replaced by other users"),
        ("config", 0o644, None),
    ],
)
def test_a_file_or_folder_that_others_may_use(
    folder: Path,
    args: list[str],
    name: str,
    mode: int,
    says: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / name).chmod(mode)

    assert main(["list", "-o", "json", *args]) == 0

    out, err = capsys.readouterr()
    assert out.count("clusterId") == 2
    warnings = [line for line in err.splitlines() if "other users" in line]
    if says is None:
        assert warnings == []
    else:
        assert [line for line in warnings if says in line and line.startswith("aiozilliz: ")]
        assert len(set(warnings)) == len(warnings)
    assert KEY not in err


@pytest.mark.parametrize("mode", [0o600, 0o400, 0o604, 0o640, 0o644, 0o620])
def test_a_key_file_that_others_may_read(folder: Path, mode: int, capsys: pytest.CaptureFixture[str]) -> None:
    path = folder / "key"
    path.chmod(mode)

    assert main(["list", "-o", "json", "--api-key-file", str(path)]) == 0

    expected = f"aiozilliz: {path} can be read or changed by other users: run chmod 600 on it"
    assert (expected in capsys.readouterr().err.splitlines()) == bool(mode & 0o077)


@pytest.mark.parametrize("source", ["environment", "file", "credentials", "organisation"])
def test_a_refusal_says_where_the_key_came_from(
    folder: Path, source: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = "another-key-of-a-test"
    args = ["list"]
    match source:
        case "environment":
            monkeypatch.setenv("ZILLIZ_API_KEY", wrong)
            says = "The key came from the environment variable ZILLIZ_API_KEY."
        case "file":
            (folder / "key").write_text(wrong, "utf-8")
            args += ["--api-key-file", str(folder / "key")]
            says = "The key came from --api-key-file."
        case "credentials":
            (folder / "credentials").write_text(f"[default]\napi_key = {wrong}\n", "utf-8")
            says = f"The key came from section [default] of {folder / 'credentials'}."
        case _:
            (folder / "credentials").write_text(f"[org.1]\napi_key = {wrong}\n", "utf-8")
            args += ["--all-orgs"]
            says = f"The key came from section [org.1] of {folder / 'credentials'}."

    assert main(args) == 3

    err = capsys.readouterr().err
    assert says in err
    assert err.count("came from") == 1
    assert "login" not in err
