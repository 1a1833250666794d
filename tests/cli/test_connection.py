from __future__ import annotations

import getpass
import io
import sys
from typing import TYPE_CHECKING, Any

import pytest

import aiozilliz
from tests.support.running import Terminal

if TYPE_CHECKING:
    from pathlib import Path

    from aiozilliz.testing import FakeZillizCloud
    from tests.support.running import Run


def test_the_key_comes_from_a_file(tmp_path: Path, fake_zilliz_cloud: FakeZillizCloud, run: Run) -> None:
    file = tmp_path / "key"
    file.write_bytes(b"\xef\xbb\xbffile-key\r\n")

    status, _, _ = run("list", "--api-key-file", str(file), "--base-url", fake_zilliz_cloud.url)

    assert status == 0
    assert fake_zilliz_cloud.requests[0].headers["Authorization"] == "Bearer file-key"


def test_the_key_comes_from_standard_input(
    monkeypatch: pytest.MonkeyPatch,
    fake_zilliz_cloud: FakeZillizCloud,
    run: Run,
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("typed-key\n"))

    status, _, _ = run("list", "--api-key-file", "-", "--base-url", fake_zilliz_cloud.url)

    assert status == 0
    assert fake_zilliz_cloud.requests[0].headers["Authorization"] == "Bearer typed-key"


def test_a_typed_key_is_not_shown(
    monkeypatch: pytest.MonkeyPatch,
    fake_zilliz_cloud: FakeZillizCloud,
    run: Run,
) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    monkeypatch.setattr(getpass, "getpass", dict.fromkeys(["API key: "], "typed-key").__getitem__)

    assert run("list", "--api-key-file", "-", "--base-url", fake_zilliz_cloud.url)[0] == 0
    assert fake_zilliz_cloud.requests[0].headers["Authorization"] == "Bearer typed-key"


@pytest.mark.parametrize("content", [b"", b"two words", b"\xff\xfe\x00", "schlüssel".encode()])
def test_a_file_without_a_usable_key_is_wrong_set_up(content: bytes, tmp_path: Path, run: Run) -> None:
    file = tmp_path / "key"
    file.write_bytes(content)
    file.chmod(0o600)  # others that may read it would be another line

    status, out, err = run("list", "--api-key-file", str(file), "--base-url", "http://localhost:9")

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "two words" not in err


def test_no_key_at_all_is_wrong_set_up_and_says_what_to_do(run: Run) -> None:
    status, out, err = run("list")

    assert (status, out, err.count("\n")) == (2, "", 1)
    assert "ZILLIZ_API_KEY" in err
    assert "Traceback" not in err


def test_the_base_url_of_the_official_clients_config_counts_for_a_key_of_ones_own_too(
    run: Run, fake_zilliz_cloud: FakeZillizCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").write_text(f"[default]\nbase_url = {fake_zilliz_cloud.url}/\n", "utf-8")
    monkeypatch.setenv("ZILLIZ_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("ZILLIZ_API_KEY", "a-key-of-my-own")

    status, out, _ = run("list")

    assert status == 0
    assert len(out.splitlines()) == 250


@pytest.mark.parametrize(
    ("args", "base_url"),
    [([], None), (["--china"], aiozilliz.CHINA), (["--base-url", "https://proxy/x"], "https://proxy/x")],
)
def test_the_base_url_is_the_given_one_or_left_to_the_client(
    args: list[str],
    base_url: str | None,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    run: Run,
) -> None:
    made: list[Any] = []

    def make_client(api_key: str | None, **options: Any) -> Any:
        made.append((api_key, options))
        raise aiozilliz.ConfigurationError("Enough")

    monkeypatch.setattr(aiozilliz, "ZillizClient", make_client)

    run("list", "--timeout", "5", *args)

    assert made == [(None, {"base_url": base_url, "timeout": 5.0, "retry": aiozilliz.RetryPolicy()})]


@pytest.mark.parametrize("args", [["list"], ["list", "--all-orgs"], ["snapshot"]])
def test_an_attempt_that_may_take_long_has_time_for_another(
    args: list[str], key: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    made: list[Any] = []

    def make_none(**_: object) -> list[aiozilliz.Account]:
        return []

    def make(*_: Any, **options: Any) -> Any:
        made.append(options)
        raise aiozilliz.ConfigurationError("Enough")

    monkeypatch.setattr(aiozilliz, "ZillizClient", make)
    monkeypatch.setattr(aiozilliz, "Inventory", make)
    monkeypatch.setattr(aiozilliz, "load_accounts", make_none)

    run(*args, "--timeout", "90")

    assert [(options["timeout"], options["retry"].deadline) for options in made] == [(90.0, 180.0)]


@pytest.mark.parametrize(
    "args",
    [
        ["--china", "--base-url", "https://x"],
        ["--demo", "--china"],
        ["--demo", "--base-url", "https://x"],
        ["--demo", "--api-key-file", "-"],
        ["--api-key-file", "/no/such/file"],
        ["--page-size", "0"],
        ["--concurrency", "0"],
        ["--timeout", "0"],
        ["--timeout", "nan"],
        ["--timeout", "inf"],
        ["-o", "xml"],
        ["--api-key", "secret-key"],
        ["argument"],
    ],
)
def test_wrong_usage_is_status_2(args: list[str], run: Run) -> None:
    status, out, err = run("list", *args)

    assert (status, out) == (2, "")
    assert "Error: " in err
    assert "Traceback" not in err


def test_no_command_shows_the_help_as_wrong_usage(run: Run) -> None:
    status, out, err = run()

    assert (status, out) == (2, "")
    assert "Commands:" in err


def test_a_base_url_in_clear_text_is_wrong_set_up(key: str, run: Run) -> None:
    status, _, err = run("list", "--base-url", "http://example.com")

    assert (status, err.count("\n")) == (2, 1)
