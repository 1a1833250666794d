from __future__ import annotations

import getpass
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, strategies as st
from rich.cells import cell_len

import aiozilliz
from aiozilliz.cli import _output, _table, main
from aiozilliz.testing import FakeZillizCloud, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    Capture = pytest.CaptureFixture[str]
    MakeCloud = Callable[..., FakeZillizCloud]
    Run = Callable[..., tuple[int, str, str]]

POSIX_ONLY = pytest.mark.skipif(os.name != "posix", reason="pipes and signals of POSIX")
LONG = 60.0
"""Seconds after which a test that hangs fails; no test takes that long otherwise."""


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("ZILLIZ_API_KEY", "env-key")
    return "env-key"


@pytest.fixture
def run(capsys: Capture) -> Run:
    def run_here(*args: str) -> tuple[int, str, str]:
        status = main(args)
        out, err = capsys.readouterr()
        return status, out, err

    return run_here


def environment(**variables: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "error"} | variables


@contextmanager
def process(
    *args: str, stdout: Any = subprocess.PIPE, pipesize: int = -1
) -> Generator[subprocess.Popen[str], None, None]:
    command = [sys.executable, "-m", "aiozilliz", *args]
    with subprocess.Popen(
        command,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env=environment(ZILLIZ_API_KEY="env-key"),
        encoding="utf-8",
        pipesize=pipesize,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def ended(child: subprocess.Popen[str]) -> tuple[int, str]:
    assert child.stderr is not None
    errors = child.stderr.read()
    return child.wait(LONG), errors


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch: pytest.MonkeyPatch, term: str = "dumb") -> Terminal:
    screen = Terminal()  # no fixture: pytest sets standard output anew before the test is called
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    return screen


# Words


def test_help_shows_examples_and_the_exit_status(run: Run) -> None:
    status, out, _ = run("--help")

    assert status == 0
    assert "aiozilliz list --demo" in out
    assert "130 interrupted" in out
    assert "ZILLIZ_API_KEY" in out


def test_the_list_command_s_help_shows_examples(run: Run) -> None:
    status, out, _ = run("list", "--help")

    assert status == 0
    assert "aiozilliz list -o json > clusters.json\n" in out
    assert "--api-key " not in out


def test_the_version_is_the_package_s(run: Run) -> None:
    assert run("--version") == (0, f"aiozilliz {aiozilliz.__version__}\n", "")


def test_python_dash_m_runs_it() -> None:
    with process("--version") as child:
        assert child.communicate(timeout=LONG) == (f"aiozilliz {aiozilliz.__version__}\n", "")


@pytest.mark.parametrize("word", ["--help", "--version"])
def test_words_need_neither_aiohttp_nor_rich(word: str) -> None:
    program = (
        f"import sys; from aiozilliz.cli import main; main([{word!r}]);"
        "sys.exit(bool({'aiohttp', 'rich', 'stamina'} & sys.modules.keys()))"
    )

    subprocess.run([sys.executable, "-c", program], env=environment(), stdout=subprocess.DEVNULL, check=True)


@pytest.mark.parametrize(
    ("missing", "args"), [("click", ["--help"]), ("rich", ["list", "--demo", "-o", "table"])]
)
def test_a_missing_extra_is_named(
    missing: str, args: list[str], monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    for module in list(sys.modules):
        if module == missing or module.startswith((f"{missing}.", "aiozilliz.cli.")):
            monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, missing, None)

    status, out, err = run(*args)

    assert (status, out) == (1, "")
    assert "pip install 'aiozilliz[cli]'" in err
    assert err.count("\n") == 1


def test_a_shell_can_complete(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setenv("_AIOZILLIZ_COMPLETE", "zsh_complete")
    monkeypatch.setenv("COMP_WORDS", "aiozilliz list --api")
    monkeypatch.setenv("COMP_CWORD", "2")

    status, out, _ = run()

    assert status == 0
    assert "--api-key-file" in out


# Data


def test_the_demo_needs_no_key_and_lists_250_clusters(run: Run) -> None:
    status, out, err = run("list", "--demo")

    ids = {json.loads(line)["clusterId"] for line in out.splitlines()}
    assert (status, len(ids), err) == (0, 250, "")


def test_records_have_all_fields_that_the_service_sent(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=1)
    added = cloud.add(clusterName="späte Nacht 夜", replica=2, labels={"team": "a"})

    _, out, _ = run("list", "--base-url", cloud.url)

    last = json.loads(out.splitlines()[-1])
    assert "späte Nacht 夜" in out
    assert last["clusterName"] == "späte Nacht 夜"
    assert (last["replica"], last["labels"]) == (2, {"team": "a"})
    assert last["clusterId"] == added


@pytest.mark.parametrize("count", [0, 1, 250])
def test_json_is_one_array(
    count: int,
    key: str,
    make_fake_zilliz_cloud: MakeCloud,
    run: Run,
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=count)

    status, out, err = run("list", "-o", "json", "--base-url", cloud.url)

    assert (status, len(json.loads(out)), err) == (0, count, "")


def test_options_reach_the_service(key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run) -> None:
    run("list", "--page-size", "90", "--verify", "--concurrency", "2", "--base-url", fake_zilliz_cloud.url)

    assert {request.query["pageSize"] for request in fake_zilliz_cloud.requests} == {"90"}
    assert len(fake_zilliz_cloud.requests) >= 5
    assert fake_zilliz_cloud.requests[0].headers["Authorization"] == f"Bearer {key}"


@POSIX_ONLY
def test_records_are_written_before_the_next_page_has_come(
    make_fake_zilliz_cloud: MakeCloud,
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=20)
    cloud.between_pages(lambda: cloud.fail_next(Fault.delay(10 * LONG)) if len(cloud.requests) == 1 else None)

    with process("list", "--page-size", "10", "--timeout", "1000", "--base-url", cloud.url) as child:
        assert child.stdout is not None
        lines = [child.stdout.readline() for _ in range(10)]
        child.send_signal(signal.SIGINT)
        status, errors = ended(child)
    cloud.clear_faults()  # the interrupt may have come before the second request

    assert all(json.loads(line)["clusterId"] for line in lines)
    assert (status, errors) == (130, "aiozilliz: interrupted\n")


def test_what_no_encoding_and_no_terminal_takes_is_escaped_in_json(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(description="cut \ud83d, \x1b[31m red, \x9b31m, \x7f, \u202e")

    status, out, _ = run("list", "-o", "json", "--base-url", cloud.url)

    assert status == 0
    assert out.replace("\n", "").isprintable()
    assert json.loads(out)[0]["description"] == "cut \ufffd, \x1b[31m red, \x9b31m, \x7f, \u202e"


@given(st.text(st.characters()), st.booleans())
def test_json_text_is_printable_and_says_the_same(text: str, ascii_only: bool) -> None:
    written = _output.json_text({text: text}, ascii_only=ascii_only)

    expected = "".join("\ufffd" if "\ud800" <= c <= "\udfff" else c for c in text)
    assert json.loads(written) == {expected: expected}
    assert written.isprintable()
    assert written.isascii() or not ascii_only
    written.encode()


def test_json_is_whole_where_the_output_can_only_take_ascii() -> None:
    program = "import sys; from aiozilliz.cli import main; sys.exit(main(['list', '--demo', '-o', 'json']))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(PYTHONIOENCODING="ascii"),
        capture_output=True,
        check=True,
    )

    assert len(json.loads(done.stdout)) == 250


# Tables


def test_a_table_elsewhere_than_on_a_terminal_holds_everything(
    key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    status, out, err = run("list", "-o", "table", "--base-url", fake_zilliz_cloud.url)

    header, *rows = out.splitlines()
    assert (status, len(rows), err) == (0, 250, "")
    assert all(name in header for name in _table.COLUMNS)
    assert "…" not in out


def test_no_header_is_no_header(run: Run) -> None:
    _, out, _ = run("list", "--demo", "-o", "table", "--no-header")

    assert len(out.splitlines()) == 250
    assert "STATUS" not in out


def test_a_table_fits_its_terminal_and_keeps_ids_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, key: str, make_fake_zilliz_cloud: MakeCloud
) -> None:
    terminal = open_terminal(monkeypatch)
    cloud = make_fake_zilliz_cloud(clusters=50)
    wide = cloud.add(clusterName="夜" * 40)

    assert main(["list", "--base-url", cloud.url]) == 0

    header, *rows = terminal.getvalue().splitlines()
    assert header.split()[:3] == ["ID", "NAME", "STATUS"]
    assert all(cell_len(row.rstrip()) <= 80 for row in rows)
    assert "夜…" in rows[-1]
    assert rows[-1].split()[0] == wide
    assert len(rows) == 51
    assert "-o json shows all" in capsys.readouterr().err


def test_a_table_of_nothing_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, key: str, make_fake_zilliz_cloud: MakeCloud
) -> None:
    terminal = open_terminal(monkeypatch)
    assert main(["list", "--base-url", make_fake_zilliz_cloud(clusters=0).url]) == 0

    assert terminal.getvalue() == ""
    assert "No clusters" in capsys.readouterr().err


def test_cells_show_control_characters_and_take_brackets_as_they_are(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=0)
    cloud.add(clusterName="[red]\x1b[2J\n\ud83d:x:", status="[/]")

    status, out, _ = run("list", "-o", "table", "--base-url", cloud.url)

    assert status == 0
    assert r"  [red]\x1b[2J\n\ud83d:x:  [/]  " in out
    assert out.replace("\n", "").isprintable()


@pytest.mark.parametrize("no_color", ["", "1"])
def test_colour_is_as_no_color_says(no_color: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    terminal = open_terminal(monkeypatch, "xterm-256color")

    assert main(["list", "--demo"]) == 0

    assert ("\x1b[32mRUNNING" in terminal.getvalue()) is not bool(no_color)
    assert ("\x1b[3" in terminal.getvalue()) is not bool(no_color)


@given(
    st.lists(st.integers(1, 60), min_size=len(_table.COLUMNS), max_size=len(_table.COLUMNS)),
    st.integers(1, 400),
)
def test_columns_are_shown_whole_or_not_at_all_but_for_names(natural: list[int], room: int) -> None:
    widths = _table.layout(natural, room)

    assert widths[_table.ID] == natural[_table.ID]
    assert all(width == natural[index] for index, width in widths.items() if index != _table.NAME)
    assert widths.get(_table.NAME, 0) <= natural[_table.NAME]
    if len(widths) > 1:
        assert sum(widths.values()) + _table.GAP * (len(widths) - 1) <= room
    if sum(natural) + _table.GAP * (len(natural) - 1) <= room:
        assert list(widths.values()) == natural


# Keys and sites


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

    assert made == [(None, {"base_url": base_url, "timeout": 5.0})]


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


# Failures


def test_a_refused_key_is_status_3_in_one_line(key: str, make_fake_zilliz_cloud: MakeCloud, run: Run) -> None:
    cloud = make_fake_zilliz_cloud(api_key="another")

    status, out, err = run("list", "--base-url", cloud.url)

    assert (status, out, err.count("\n")) == (3, "", 1)
    assert err.startswith("aiozilliz: ")
    assert key not in err


def test_debug_shows_the_traceback_and_not_the_key(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(api_key="another")

    status, _, err = run("list", "--debug", "--base-url", cloud.url)

    assert status == 3
    assert "Traceback" in err
    assert "AuthenticationError" in err
    assert key not in err


@pytest.mark.parametrize(("form", "lines"), [("jsonl", 10), ("table", 11)])
def test_what_came_before_a_failure_stands(
    form: str,
    lines: int,
    key: str,
    make_fake_zilliz_cloud: MakeCloud,
    run: Run,
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=20)
    cloud.between_pages(lambda: cloud.fail_next(Fault.code(96009, "no\nsuch page")))

    status, out, err = run("list", "-o", form, "--page-size", "10", "--base-url", cloud.url)

    assert status == 1
    assert len(out.splitlines()) == lines
    assert err.count("\n") == 1
    assert "no such page" in err.replace(r"\n", " ")


def test_the_array_of_a_failed_listing_stays_open(
    key: str, make_fake_zilliz_cloud: MakeCloud, run: Run
) -> None:
    cloud = make_fake_zilliz_cloud(clusters=20)
    cloud.between_pages(lambda: cloud.fail_next(Fault.code(96009, "no")))

    status, out, _ = run("list", "-o", "json", "--page-size", "10", "--base-url", cloud.url)

    assert status == 1
    assert out.count("clusterId") == 10
    with pytest.raises(json.JSONDecodeError):
        json.loads(out)
    assert len(json.loads(out + "]")) == 10


def test_a_listing_that_fails_at_once_writes_no_data(
    key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    fake_zilliz_cloud.fail_next(Fault.code(96008, "no"))

    assert run("list", "-o", "json", "--base-url", fake_zilliz_cloud.url)[:2] == (1, "")


def test_a_retry_is_told_in_the_debug_log_only(
    key: str, fake_zilliz_cloud: FakeZillizCloud, run: Run
) -> None:
    fake_zilliz_cloud.fail_next(Fault.reset(), times=2)

    quiet = run("list", "--base-url", fake_zilliz_cloud.url)
    fake_zilliz_cloud.fail_next(Fault.reset())
    _, _, told = run("list", "--debug", "--base-url", fake_zilliz_cloud.url)

    assert (quiet[0], quiet[2]) == (0, "")
    assert "aiozilliz: " in told
    assert key not in told
    assert not logging.getLogger("aiozilliz").handlers


@pytest.mark.parametrize("debug", [False, True])
def test_a_bug_is_told_in_one_line_and_debug_shows_where(
    debug: bool, key: str, monkeypatch: pytest.MonkeyPatch, run: Run
) -> None:
    def broken(*args: Any, **options: Any) -> Any:
        raise KeyError("surprise")

    monkeypatch.setattr(aiozilliz, "ZillizClient", broken)

    status, _, err = run("list", *(["--debug"] if debug else []))

    assert status == 1
    assert err.splitlines()[-1].startswith("aiozilliz: this is a bug in aiozilliz: KeyError: 'surprise'")
    assert ("Traceback" in err) is debug


# Pipes and interrupts


@POSIX_ONLY
@pytest.mark.parametrize("form", ["jsonl", "json", "table"])
def test_a_closed_pipe_ends_it_quietly(form: str) -> None:
    with process("list", "--demo", "-o", form, pipesize=4096) as child:
        assert child.stdout is not None
        first = os.read(child.stdout.fileno(), 1)
        child.stdout.close()
        status, errors = ended(child)

    assert first
    assert (status, errors) == (0, "")


@POSIX_ONLY
@pytest.mark.parametrize("form", ["jsonl", "table"])
def test_an_interrupt_ends_it_though_nobody_reads(form: str) -> None:
    with process("list", "--demo", "-o", form, pipesize=4096) as child:
        assert child.stdout is not None
        os.read(child.stdout.fileno(), 1)  # it is writing, and what is left does not fit into the pipe
        child.send_signal(signal.SIGINT)
        status, errors = ended(child)

    assert (status, errors) == (130, "aiozilliz: interrupted\n")


@POSIX_ONLY
def test_an_interrupt_ends_a_wait_for_the_service(
    make_fake_zilliz_cloud: MakeCloud,
) -> None:
    cloud = make_fake_zilliz_cloud()
    answered = threading.Event()

    @cloud.between_pages
    def hang() -> None:
        cloud.fail_next(Fault.delay(10 * LONG))
        answered.set()

    with process("list", "-o", "table", "--timeout", "1000", "--base-url", cloud.url) as child:
        assert answered.wait(LONG)
        child.send_signal(signal.SIGINT)
        status, errors = ended(child)
    cloud.clear_faults()

    assert (status, errors) == (130, "aiozilliz: interrupted\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full device")
@pytest.mark.parametrize("form", ["jsonl", "json", "table"])
def test_a_full_device_is_a_failure_in_one_line(form: str) -> None:
    with Path("/dev/full").open("w") as full, process("list", "--demo", "-o", form, stdout=full) as child:
        status, errors = ended(child)

    assert status == 1
    assert errors == "aiozilliz: the system refused: No space left on device\n"


@POSIX_ONLY
def test_a_closed_standard_output_is_a_failure_in_one_line() -> None:
    program = (
        "import sys; sys.stdout = None; from aiozilliz.cli import main; sys.exit(main(['list', '--demo']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(), capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "standard output is closed" in done.stderr
