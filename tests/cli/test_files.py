from __future__ import annotations

import errno
import io
import json
import os
import stat
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aiozilliz import Cluster, InventoryReport, Snapshot, TransportError
from aiozilliz.cli.process import CommandError
from aiozilliz.cli.state import files as files_module
from aiozilliz.cli.state.files import FileError, check_target, parts, read_document, write_whole
from tests.support.running import POSIX_ONLY, environment

NOW = datetime(2026, 1, 2, tzinfo=UTC)
SNAPSHOT = Snapshot([Cluster("in01-a", "späte Nacht \ud83d"), Cluster("in01-b")], NOW, 3, consistent=True)
REPORT = InventoryReport({"prod": SNAPSHOT}, {"test": TransportError("gone")}, NOW)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "clusters.json"


def refused(path: object) -> str:
    with pytest.raises(FileError) as caught:
        read_document(str(path))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Reading


@pytest.mark.parametrize("document", [SNAPSHOT, REPORT])
def test_a_file_is_read_as_what_it_is(document: Any, file: Path) -> None:
    write_whole(str(file), document.to_json())

    assert read_document(str(file)) == document


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(SNAPSHOT.to_json().encode())))

    assert read_document("-") == SNAPSHOT


@pytest.mark.parametrize("stdin", [None, "unreadable"])
def test_a_standard_input_that_can_t_be_read_is_reported(stdin: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Unreadable(io.RawIOBase):
        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any, /) -> int:
            raise OSError(5, "Input/output error")

    broken = io.TextIOWrapper(io.BufferedReader(Unreadable())) if stdin else None
    monkeypatch.setattr(sys, "stdin", broken)

    assert refused("-").startswith("standard input: it ")


def test_a_byte_order_mark_is_no_obstacle(file: Path) -> None:
    file.write_text(SNAPSHOT.to_json(), encoding="utf-8-sig")

    assert read_document(str(file)) == SNAPSHOT


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        (" \n", "it is empty"),
        ("nonsense", "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ('{"clusters": [', "it is not JSON"),
        ("{}", "neither a snapshot nor an inventory report"),
        ("12", "neither a snapshot nor an inventory report"),
        ("null", "neither a snapshot nor an inventory report"),
        ("[]", "`aiozilliz list -o json`"),
        ("[\n]\n", "`aiozilliz list -o json`"),
        ('[{"clusterId": "in01-a"}]', "`aiozilliz list -o json`"),
        ('{"clusterId": "in01-a"}', "as `aiozilliz list` writes them"),
        ('{"clusterId": "in01-a"}\n{"clusterId": "in01-b"}\n', "as `aiozilliz list` writes them"),
        ('{"version": 2, "clusters": []}', "its format version is the number 2"),
        ('{"version": 2, "listing": []}', "its format version is the number 2"),
        ('{"version": 2, "snapshots": {}}', "its format version is the number 2"),
        ('{"version": 1, "clusters": []}', "taken_at"),
        (SNAPSHOT.to_json()[:-20] + "}", "it is not JSON"),
    ],
)
def test_what_is_no_snapshot_is_refused_in_one_line_that_names_the_file(
    text: str, said: str, file: Path
) -> None:
    file.write_text(text, encoding="utf-8")

    message = refused(file)

    assert message.startswith(f"{file}: ")
    assert said in message


def test_a_file_that_is_not_there_is_reported(file: Path) -> None:
    assert refused(file) == f"{file}: no such file"


def test_a_folder_is_reported(tmp_path: Path) -> None:
    assert refused(tmp_path) == f"{tmp_path}: it is a folder, not a file"


def test_a_file_below_a_file_is_reported(file: Path) -> None:
    file.touch()

    assert "it can't be read: " in refused(file / "x")


def test_a_name_that_no_file_can_have_is_reported() -> None:
    assert "it can't be read" in refused("a\0b")


def test_parts_are_the_snapshots_by_account() -> None:
    assert list(parts(SNAPSHOT)) == [(None, SNAPSHOT)]
    assert list(parts(REPORT)) == [("prod", SNAPSHOT)]


# Writing


def test_a_new_file_is_written_as_utf_8(file: Path) -> None:
    write_whole(str(file), "späte Nacht\n")

    assert file.read_bytes() == "späte Nacht\n".encode()
    assert names_in(file.parent) == [file.name]


def test_an_old_file_is_replaced_and_not_written_into(file: Path) -> None:
    file.write_text("old")
    with file.open() as reader:
        write_whole(str(file), "new")

        assert reader.read() == "old"
    assert file.read_text() == "new"


def test_a_symbolic_link_stays_and_its_target_is_replaced(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    target = folder / "target.json"
    file.symlink_to(target)

    write_whole(str(file), "one")
    write_whole(str(file), "two")

    assert file.is_symlink()
    assert target.read_text() == "two"
    assert names_in(folder) == [target.name]


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt(), SystemExit()])
def test_nothing_is_left_over_where_writing_fails(
    step: str, error: BaseException, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("old")

    def fail(*args: object) -> None:
        raise error

    monkeypatch.setattr(os, step, fail)

    with pytest.raises(CommandError if isinstance(error, OSError) else type(error)) as caught:
        write_whole(str(file), "new")

    if isinstance(error, OSError):
        assert str(caught.value) == f"{file} can't be written: No space left on device"
    assert names_in(file.parent) == [file.name]
    assert file.read_text() == "old"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device that is always full")  # noqa: PTH110 - no Path at import
def test_a_device_is_written_to_directly_and_its_failure_names_it() -> None:
    write_whole(os.devnull, "text")

    with pytest.raises(CommandError, match="/dev/full can't be written: No space left on device"):
        write_whole("/dev/full", "text")


def test_a_file_whose_folder_is_missing_is_reported(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="can't be written"):
        write_whole(str(tmp_path / "no" / "x.json"), "text")


def test_a_folder_that_can_t_be_synced_is_no_failure(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def sync_files_only(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(22, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", sync_files_only)

    write_whole(str(file), "new")

    assert file.read_text() == "new"


@POSIX_ONLY
def test_a_pipe_is_written_to_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    got: list[str] = []
    reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
    reader.start()

    write_whole(str(pipe), "text")
    reader.join()

    assert got == ["text"]
    assert pipe.is_fifo()


@POSIX_ONLY
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_the_name_of_standard_output_adds_to_the_file_that_the_shell_opened(name: str, file: Path) -> None:
    file.write_text("before\n")
    program = f"from aiozilliz.cli.state.files import write_whole; write_whole({name!r}, 'text')"

    with file.open("ab") as output:
        subprocess.run([sys.executable, "-c", program], stdout=output, env=environment(), check=True)

    assert file.read_text() == "before\ntext"


# Looking ahead


def test_a_file_that_can_be_written_is_let_pass(file: Path) -> None:
    check_target(str(file))
    file.touch()
    check_target(str(file))
    check_target(os.devnull)
    check_target("/dev/stdout")

    assert names_in(file.parent) == [file.name]


def test_a_file_that_can_t_be_written_is_reported_before_the_work(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = file.parent / "loop"
    loop.symlink_to(loop)
    for path, said in [
        (str(file.parent), "it is a folder, not a file"),
        (str(file / "no" / "x.json"), f"there is no folder {file}"),
        (str(loop), "it can't be used: "),
        ("a\0b", "it can't be used: "),
    ]:
        with pytest.raises(FileError) as caught:
            check_target(path)
        assert said in str(caught.value)

    def no_access(*args: object) -> bool:
        return False

    monkeypatch.setattr(os, "access", no_access)
    with pytest.raises(FileError, match="can't be written"):
        check_target(str(file))


def test_a_refused_file_is_wrong_usage() -> None:
    assert FileError("x").status == 2


def test_decoding_takes_what_the_library_wrote_byte_by_byte() -> None:
    text = SNAPSHOT.to_json().encode()

    assert files_module.decode_document(text, "x") == Snapshot.from_json(text)
    assert json.loads(text)["consistent"] is True


@POSIX_ONLY
@pytest.mark.parametrize("mode", [0o664, 0o600, 0o640])
def test_a_file_that_is_replaced_keeps_its_mode_and_a_new_one_is_as_the_umask_says(
    tmp_path: Path, mode: int
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_text("old")
    old.chmod(mode)
    group = next((group for group in os.getgroups() if group != os.getgid()), 1)
    if os.geteuid() == 0:
        os.chown(old, 1, group)
    before = old.stat()

    for path in (old, new):
        write_whole(str(path), "text")

    after = old.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(new.stat().st_mode) == 0o666 & ~umask
    assert {path.name for path in tmp_path.iterdir()} == {"old", "new"}


def test_a_file_that_can_only_be_written_in_place_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "mounted"
    file.write_text("a longer text than the new one")

    def busy(source: Path, target: Path) -> None:
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))

    monkeypatch.setattr(Path, "replace", busy)  # as Linux says of a file that is mounted into a container
    write_whole(str(file), "text")

    assert file.read_text() == "text"
    assert [path.name for path in tmp_path.iterdir()] == ["mounted"]


@POSIX_ONLY
def test_a_named_pipe_that_nobody_reads_any_more_is_an_error(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: os.close(os.open(pipe, os.O_RDONLY)))
    reader.start()
    with pytest.raises(CommandError, match="can't be written: Broken pipe"):
        write_whole(str(pipe), "x" * 1_000_000)  # more than a pipe holds
    reader.join()
