from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import pytest

from aiozilliz import ZillizClient, cli_base_url, load_accounts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(os.name != "posix", reason="modes are a matter of POSIX")

CREDENTIALS = "[default]\napi_key = key-of-a-test\n"
CONFIG = "[default]\nbase_url = https://cn.example\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the official command line in which all is as it should be."""
    folder = tmp_path / "zilliz"
    folder.mkdir(mode=0o700)
    for name, text in (("credentials", CREDENTIALS), ("config", CONFIG)):
        (folder / name).write_text(text, "utf-8")
        (folder / name).chmod(0o600)
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(folder))
    monkeypatch.delenv("ZILLIZ_API_KEY", raising=False)
    return folder


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    assert "key-of-a-test" not in caplog.text
    return [record.getMessage() for record in caplog.records]


def read_all() -> None:
    load_accounts()
    ZillizClient()
    cli_base_url()


def test_files_of_their_owner_alone_are_fine(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    for mode in (0o700, 0o755, 0o500):
        folder.chmod(mode)
        read_all()
    (folder / "config").chmod(0o644)  # it holds no key
    read_all()
    assert warned(caplog) == []


@pytest.mark.parametrize(
    ("mode", "may"),
    [
        (0o644, "read"),
        (0o640, "read"),
        (0o604, "read"),
        (0o620, "changed"),
        (0o602, "changed"),
        (0o660, "read or changed"),
        (0o666, "read or changed"),
    ],
)
def test_a_credentials_file_that_others_may_read_or_write(
    folder: Path, caplog: pytest.LogCaptureFixture, mode: int, may: str
) -> None:
    path = folder / "credentials"
    path.chmod(mode)
    expected = [f"{path} can be {may} by other users: run chmod 600 on it"]
    for read in (load_accounts, ZillizClient):
        read()
        assert warned(caplog) == expected
        caplog.clear()


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666, 0o664])
def test_a_config_file_that_others_may_write(
    folder: Path, caplog: pytest.LogCaptureFixture, mode: int
) -> None:
    path = folder / "config"
    path.chmod(mode)
    expected = [f"{path} can be changed by other users: run chmod 600 on it"]
    for read in (load_accounts, ZillizClient, cli_base_url):
        read()
        assert warned(caplog) == expected
        caplog.clear()
    # It has chosen nothing here.
    load_accounts(base_url="https://host.example")
    ZillizClient(base_url="https://host.example")
    ZillizClient("another-key")
    assert warned(caplog) == []


@pytest.mark.parametrize("mode", [0o777, 0o770, 0o707, 0o720])
def test_a_folder_that_others_may_write(folder: Path, caplog: pytest.LogCaptureFixture, mode: int) -> None:
    folder.chmod(mode)
    expected = [
        f"{folder / name} can be replaced by other users: they may write to its folder {folder}"
        for name in ("credentials", "config")
    ]
    for read in (load_accounts, ZillizClient):
        read()
        assert sorted(warned(caplog)) == sorted(expected)
        caplog.clear()


def test_a_folder_in_which_a_config_file_can_be_put(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    (folder / "config").unlink()
    folder.chmod(0o1777)
    for read in (load_accounts, ZillizClient):
        read()
        assert warned(caplog) == [
            f"{folder / 'config'} can be created by other users: they may write to its folder {folder}"
        ]
        caplog.clear()


def test_a_sticky_folder_lets_nobody_replace_a_file(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder.chmod(0o1777)
    read_all()
    assert warned(caplog) == []


def test_the_target_of_a_link_counts(folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    target = elsewhere / "keys"
    (folder / "credentials").rename(target)
    (folder / "credentials").symlink_to(target)  # its own mode is 0o777
    read_all()
    assert warned(caplog) == []

    target.chmod(0o644)
    elsewhere.chmod(0o777)
    load_accounts()
    text = "\n".join(warned(caplog))
    assert "can be read by other users" in text
    assert f"can be replaced by other users: they may write to its folder {elsewhere}" in text
