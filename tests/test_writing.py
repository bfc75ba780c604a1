"""Writing, the journal, undo: every file is the old one or the new one, and comes back."""

from __future__ import annotations

import errno
import json
import os
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from filelock import FileLock

from gpu_lint import journal as journal_module
from gpu_lint.errors import Interrupted, JournalError
from gpu_lint.journal import Journal, State
from gpu_lint.undo import undo
from gpu_lint.writing import Replacement, Writing, Written

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
posix = pytest.mark.skipif(os.name == "nt", reason="modes and links are POSIX's")


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    return Journal(tmp_path_factory.mktemp("journal"))


def replace(
    kept: Journal, root: Path, files: dict[str, tuple[str, str]], *, all_or_nothing: bool = False
) -> Written:
    wanted = [
        Replacement(root / name, root, before.encode(), after.encode())
        for name, (before, after) in files.items()
    ]
    return Writing(kept, all_or_nothing).replace(root, wanted)


def contents(root: Path) -> dict[str, bytes]:
    """Every file below a directory, whatever its name."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file()
    }


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int, error: BaseException) -> None:
    """Let a function of ``os`` raise at its call with this number, from 1, on a user's file."""
    calls = 0
    real = getattr(os, name)

    def fail(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        if "gpu-lint" in os.path.basename(str(arguments[0])):
            calls += 1
            if calls == number:
                raise error
        return real(*arguments, **more)

    monkeypatch.setattr(os, name, fail)


# --- one file ----------------------------------------------------------------------------


@posix
def test_mode_and_links_survive(project: Project, kept: Journal) -> None:
    root = project({"real.py": "a", "sub/x": "y"})
    (root / "real.py").chmod(0o755)
    (root / "link.py").symlink_to("real.py")
    assert replace(kept, root, {"link.py": ("a", "b")}).troubles == []
    assert (root / "link.py").is_symlink()
    assert (root / "real.py").read_bytes() == b"b"
    assert stat.S_IMODE((root / "real.py").stat().st_mode) == 0o755
    assert sorted(path.name for path in root.iterdir()) == ["link.py", "real.py", "sub"]


@posix
@pytest.mark.skipif(not hasattr(os, "listxattr"), reason="this system has no such attributes")
def test_extended_attributes_survive(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    try:
        os.setxattr(root / "a.py", "user.note", b"mine")
    except OSError:
        pytest.skip("this file system keeps no extended attributes")
    replace(kept, root, {"a.py": ("a", "b")})
    assert os.getxattr(root / "a.py", "user.note") == b"mine"


@posix
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="only root gives files away")
def test_the_owner_survives(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    os.chown(root / "a.py", 12345, 23456)
    replace(kept, root, {"a.py": ("a", "b")})
    status = (root / "a.py").stat()
    assert (status.st_uid, status.st_gid) == (12345, 23456)


@posix
def test_a_link_out_of_the_project_is_refused(project: Project, kept: Journal) -> None:
    root = project({"project/a.py": "a", "elsewhere/b.py": "b"})
    (root / "project" / "b.py").symlink_to(root / "elsewhere" / "b.py")
    done = replace(kept, root / "project", {"a.py": ("a", "A"), "b.py": ("b", "B")})
    assert [trouble.path.name for trouble in done.troubles] == ["b.py"]
    assert "leaves the project" in done.troubles[0].message
    assert (root / "elsewhere" / "b.py").read_text() == "b"
    assert (root / "project" / "a.py").read_text() == "A"


@posix
def test_hard_links_are_told_of(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    os.link(root / "a.py", root / "same.py")
    done = replace(kept, root, {"a.py": ("a", "b")})
    assert done.troubles == []
    assert "hard links" in done.notices[0].message
    assert (root / "same.py").read_text() == "a"


def test_a_file_that_changed_since_it_was_read_is_not_overwritten(
    project: Project, kept: Journal
) -> None:
    root = project({"a.py": "newer", "b.py": "b"})
    done = replace(kept, root, {"a.py": ("older", "fixed"), "b.py": ("b", "B")})
    assert "changed while it was checked" in done.troubles[0].message
    assert contents(root) == {"a.py": b"newer", "b.py": b"B"}


def test_a_file_that_is_what_it_is_to_be_is_no_trouble(project: Project, kept: Journal) -> None:
    root = project({"a.py": "fixed"})
    done = replace(kept, root, {"a.py": ("older", "fixed")})
    assert (done.troubles, done.changed, done.run) == ([], [], None)
    assert done.done == [root / "a.py"]
    assert kept.records() == []


def test_a_file_that_changes_between_staging_and_renaming_is_not_overwritten(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "a"})
    real = os.fsync

    def edit_meanwhile(descriptor: int) -> None:
        real(descriptor)
        (root / "a.py").write_text("edited")

    monkeypatch.setattr(os, "fsync", edit_meanwhile)
    done = replace(kept, root, {"a.py": ("a", "b")})
    assert "changed while it was checked" in done.troubles[0].message
    assert contents(root) == {"a.py": b"edited"}


@posix
def test_new_content_is_private_until_it_has_the_files_mode(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "a"})
    (root / "a.py").chmod(0o644)
    modes = []
    real = os.chmod

    def look(path: Any, mode: int, **more: Any) -> None:
        if str(path).endswith(".tmp"):
            modes.append(stat.S_IMODE(os.stat(path).st_mode))
        real(path, mode, **more)

    monkeypatch.setattr(os, "chmod", look)
    replace(kept, root, {"a.py": ("a", "b")})
    assert modes == [0o600]


@posix
@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everything")
def test_a_read_only_file_is_left_alone(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    (root / "a.py").chmod(0o444)
    done = replace(kept, root, {"a.py": ("a", "b")})
    assert "read-only" in done.troubles[0].message


# --- when writing fails ------------------------------------------------------------------

THREE = {"a.py": ("a", "A"), "b.py": ("b", "B"), "c.py": ("c", "C")}


def test_a_full_disk_stops_the_run_and_is_told_once(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "a", "b.py": "b", "c.py": "c"})
    failing(monkeypatch, "open", 2, OSError(errno.ENOSPC, "No space left on device"))
    done = replace(kept, root, THREE)
    (trouble,) = done.troubles
    assert trouble.path.name == "b.py"
    assert "No space left on device" in trouble.message
    assert "1 of 3 files is changed, the others are as they were" in trouble.message
    assert contents(root) == {"a.py": b"A", "b.py": b"b", "c.py": b"c"}
    undo(kept.find(done.run or ""), Writing(kept))
    assert contents(root) == {"a.py": b"a", "b.py": b"b", "c.py": b"c"}


def test_a_file_that_cannot_be_written_stops_no_other(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "a", "b.py": "b", "c.py": "c"})
    failing(monkeypatch, "replace", 2, PermissionError(errno.EACCES, "Permission denied"))
    done = replace(kept, root, THREE)
    assert [trouble.path.name for trouble in done.troubles] == ["b.py"]
    assert contents(root) == {"a.py": b"A", "b.py": b"b", "c.py": b"C"}


@pytest.mark.parametrize(("name", "number"), [("open", 3), ("replace", 1), ("replace", 3)])
def test_all_or_nothing_leaves_nothing_changed(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch, name: str, number: int
) -> None:
    root = project({"a.py": "a", "b.py": "b", "c.py": "c"})
    failing(monkeypatch, name, number, OSError(errno.EDQUOT, "Disk quota exceeded"))
    done = replace(kept, root, THREE, all_or_nothing=True)
    assert done.changed == []
    assert len(done.troubles) == 1
    assert contents(root) == {"a.py": b"a", "b.py": b"b", "c.py": b"c"}
    assert kept.records() == []


def test_what_cannot_be_taken_back_is_named_and_undo_gives_it_back(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "a", "b.py": "b"})
    real = os.replace
    calls = 0

    def fail_from_the_third_on(*arguments: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > 2:  # the journal's own, and the first file's
            raise OSError(errno.EIO, "Input/output error")
        real(*arguments)

    monkeypatch.setattr(os, "replace", fail_from_the_third_on)
    files = {"a.py": ("a", "A"), "b.py": ("b", "B")}
    done = replace(kept, root, files, all_or_nothing=True)
    monkeypatch.undo()
    assert contents(root) == {"a.py": b"A", "b.py": b"b"}
    stays = done.troubles[1].message
    assert stays.startswith("stays changed ([Errno 5] Input/output error); `gpu-lint undo ")
    assert "as it was" not in stays
    undo(kept.find(done.run or ""), Writing(kept))
    assert contents(root) == {"a.py": b"a", "b.py": b"b"}


def test_all_or_nothing_starts_with_nothing_if_one_file_is_not_what_it_was(
    project: Project, kept: Journal
) -> None:
    root = project({"a.py": "a", "b.py": "edited", "c.py": "c"})
    done = replace(kept, root, THREE, all_or_nothing=True)
    assert (done.changed, len(done.troubles)) == ([], 1)
    assert contents(root) == {"a.py": b"a", "b.py": b"edited", "c.py": b"c"}


@pytest.mark.parametrize("all_or_nothing", [False, True])
@pytest.mark.parametrize("name", ["open", "fsync", "replace"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_ctrl_c_leaves_old_or_new_files_and_says_how_many(
    project: Project,
    kept: Journal,
    monkeypatch: pytest.MonkeyPatch,
    all_or_nothing: bool,
    name: str,
    number: int,
) -> None:
    """A real signal, right after a system call."""
    root = project({"a.py": "a", "b.py": "b", "c.py": "c"})
    calls = 0
    real = getattr(os, name)

    def interrupt(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        result = real(*arguments, **more)
        if name == "fsync" or os.path.basename(str(arguments[0])).startswith(".gpu-lint-"):
            calls += 1
            if calls == number + 2 * (name == "fsync"):  # the journal is synced first
                signal.raise_signal(signal.SIGINT)
        return result

    monkeypatch.setattr(os, name, interrupt)
    with pytest.raises(Interrupted) as raised:
        replace(kept, root, THREE, all_or_nothing=all_or_nothing)
    monkeypatch.undo()
    now = contents(root)
    changed = [path for path, data in now.items() if data.isupper()]
    assert now.keys() == {"a.py", "b.py", "c.py"}
    assert {data.lower() for data in now.values()} == {b"a", b"b", b"c"}
    if all_or_nothing or not changed:
        assert changed == []
        assert str(raised.value) == "interrupted: every file is as it was"
        assert kept.records() == []
    else:
        assert f"interrupted: {len(changed)} of 3 files" in str(raised.value)
        (record,) = kept.records()
        undo(record, Writing(kept))
        assert contents(root) == {"a.py": b"a", "b.py": b"b", "c.py": b"c"}


def test_a_journal_that_cannot_be_written_means_that_nothing_is_changed(
    project: Project, tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = project({"a.py": "a"})
    blocked = tmp_path_factory.mktemp("state") / "file"
    blocked.write_text("no directory")
    with pytest.raises(JournalError, match="nothing was changed"):
        replace(Journal(blocked), root, {"a.py": ("a", "b")})
    assert contents(root) == {"a.py": b"a"}


def test_a_full_disk_under_the_journal_means_that_nothing_is_changed(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "a"})
    kept.directory.mkdir(exist_ok=True)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JournalError, match="No space left on device; nothing was changed"):
        replace(kept, root, {"a.py": ("a", "b")})
    assert contents(root) == {"a.py": b"a"}
    assert kept.records() == []


# --- the journal -------------------------------------------------------------------------


@posix
def test_the_journal_is_for_its_owner_alone(project: Project, tmp_path: Path) -> None:
    root = project({"p/a.py": "a"}) / "p"
    kept = Journal(tmp_path / "state" / "gpu-lint")
    replace(kept, root, {"a.py": ("a", "b")})
    for path in [kept.directory / "runs", *(kept.directory / "runs").iterdir()]:
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0


def test_any_unzip_program_can_give_the_files_back(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    replace(kept, root, {"a.py": ("a", "b")})
    (record,) = kept.records()
    with zipfile.ZipFile(record.archive) as archive:
        head = json.loads(archive.read("run.json"))
        assert head["entries"][0]["path"] == os.path.realpath(root / "a.py")
        assert archive.read("originals/0") == b"a"


def test_old_runs_are_forgotten_by_age_and_by_size(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "0"})
    for number in range(4):
        replace(kept, root, {"a.py": (str(number), str(number + 1))})
    records = kept.records()
    assert len(records) == 4
    old = os.stat(records[0].archive).st_mtime - journal_module.KEPT_SECONDS - 10
    os.utime(records[0].archive, (old, old))
    replace(kept, root, {"a.py": ("4", "5")})
    assert records[0].id not in {record.id for record in kept.records()}
    monkeypatch.setattr(journal_module, "KEPT_BYTES", 1)
    last = kept.records()[-1]
    kept.tidy()
    assert kept.records() == [last]


def test_a_damaged_journal_hides_no_other_run(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    replace(kept, root, {"a.py": ("a", "b")})
    replace(kept, root, {"a.py": ("b", "c")})
    one, other = kept.records()
    one.archive.write_bytes(b"PK")
    assert kept.records() == [other]
    with pytest.raises(JournalError, match="damaged"):
        kept.find(one.id)


def test_any_flipped_byte_of_a_journal_is_one_line_and_never_an_internal_error(
    project: Project, kept: Journal
) -> None:
    root = project({"a.py": "a" * 50, "b.py": "b" * 50})
    replace(kept, root, {"a.py": ("a" * 50, "c"), "b.py": ("b" * 50, "d")})
    archive = kept.records()[0].archive
    whole = archive.read_bytes()
    before, after = {b"a" * 50, b"b" * 50}, {b"c", b"d"}
    for number in range(0, len(whole), 3):
        archive.write_bytes(whole[:number] + bytes([whole[number] ^ 0x41]) + whole[number + 1 :])
        try:
            record = kept.find(archive.name.partition(".")[0])
            done = undo(record, Writing(kept))
        except JournalError as told:
            damage = str(told)
        else:
            damage = "; ".join(trouble.message for trouble in done.troubles)
        assert "\n" not in damage
        assert {path.read_bytes() for path in root.iterdir()} <= before | after
        for path in kept.directory.glob("runs/*.zip"):
            path.unlink()
        archive.write_bytes(whole)
        (root / "a.py").write_text("c")
        (root / "b.py").write_text("d")


@pytest.mark.parametrize("length", [0, 1, 100, -1])
def test_a_journal_that_was_cut_short_is_told_of(
    project: Project, kept: Journal, length: int
) -> None:
    root = project({"a.py": "a"})
    replace(kept, root, {"a.py": ("a", "b")})
    archive = kept.records()[0].archive
    archive.write_bytes(archive.read_bytes()[:length])
    assert kept.records() == []
    assert len(kept.damaged()) == 1
    replace(kept, root, {"a.py": ("b", "c")})
    assert undo(kept.records()[-1], Writing(kept)).changed == [root / "a.py"]


def test_one_damaged_original_keeps_no_other_file_from_coming_back(
    project: Project, kept: Journal
) -> None:
    names = {f"{n}.py": (f"{n}" * 99, "new") for n in range(5)}
    root = project({name: before for name, (before, _) in names.items()})
    replace(kept, root, names)
    record = kept.records()[0]
    with zipfile.ZipFile(record.archive) as reader:
        offset = reader.getinfo("originals/2").header_offset + 30 + len("originals/2")
    data = bytearray(record.archive.read_bytes())
    data[offset + 1] ^= 0x41
    record.archive.write_bytes(bytes(data))
    done = undo(kept.find(record.id), Writing(kept))
    assert [(trouble.path.name) for trouble in done.troubles] == ["2.py"]
    assert "cannot be given back" in done.troubles[0].message
    assert contents(root) == {
        name: b"new" if name == "2.py" else before.encode() for name, (before, _) in names.items()
    }
    assert kept.find(record.id).state is State.DONE


def test_runs_are_in_their_order_though_the_clock_was_set_back(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        year_now = 2030

        @classmethod
        def now(cls, tz: Any = None) -> Any:
            cls.year_now -= 1
            return datetime(cls.year_now, 1, 1, tzinfo=tz)

    monkeypatch.setattr(journal_module, "datetime", Clock)
    root = project({"a.py": "0"})
    for number in range(12):
        replace(kept, root, {"a.py": (str(number), str(number + 1))})
    assert [record.sequence for record in kept.records()] == list(range(1, 13))
    assert undo(kept.records()[-1], Writing(kept)).changed == [root / "a.py"]
    assert (root / "a.py").read_text() == "11"


def test_runs_of_an_older_journal_are_read_and_come_first(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    replace(kept, root, {"a.py": ("a", "b")})
    old = kept.records()[0]
    name = "29991231-000000-" + old.id[-8:]
    old.archive.rename(old.archive.with_name(f"{name}.done.zip"))
    replace(kept, root, {"a.py": ("b", "c")})
    assert [record.sequence for record in kept.records()] == [0, 1]
    assert kept.records()[0].id == name
    undo(kept.records()[1], Writing(kept))
    assert undo(kept.records()[0], Writing(kept)).changed == [root / "a.py"]
    assert (root / "a.py").read_text() == "a"


@pytest.mark.parametrize("name", ["", "../runs", "20", "x"])
def test_a_run_is_named_by_its_id_alone(project: Project, kept: Journal, name: str) -> None:
    root = project({"a.py": "a"})
    replace(kept, root, {"a.py": ("a", "b")})
    replace(kept, root, {"a.py": ("b", "c")})
    with pytest.raises(JournalError, match="gpu-lint undo --list"):
        kept.find(name)
    assert kept.find(kept.records()[0].id[-8:]) == kept.records()[0]


def test_two_runs_do_not_write_at_once(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project({"a.py": "a"})
    told = []
    waiting = Journal(kept.directory, waiting=lambda: told.append(1))
    monkeypatch.setattr(journal_module, "_WAITED_SECONDS", 0.01)
    held, refused = FileLock(kept.directory / "lock"), pytest.raises(JournalError)
    with held, refused as raised:
        replace(waiting, root, {"a.py": ("a", "b")})
    assert "another gpu-lint has been writing" in str(raised.value)
    assert (told, contents(root)) == ([1], {"a.py": b"a"})
    assert replace(waiting, root, {"a.py": ("a", "b")}).troubles == []


# --- undo --------------------------------------------------------------------------------


def test_undo_gives_back_bytes_and_mode(project: Project, kept: Journal) -> None:
    root = project({"a.py": b"\xef\xbb\xbfa\r\n", "b.py": "b"})
    (root / "a.py").chmod(0o750)
    before = contents(root)
    wanted = [Replacement(root / "a.py", root, before["a.py"], b"new")]
    run = Writing(kept).replace(root, wanted).run
    done = undo(kept.find(run or ""), Writing(kept))
    assert (done.troubles, contents(root)) == ([], before)
    if os.name != "nt":
        assert stat.S_IMODE((root / "a.py").stat().st_mode) == 0o750
    states = {record.id: record.state for record in kept.records()}
    assert states[run or ""] is State.UNDONE


def test_undo_of_an_undo_is_the_run_again(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a"})
    run = replace(kept, root, {"a.py": ("a", "b")}).run
    back = undo(kept.find(run or ""), Writing(kept)).run
    assert contents(root) == {"a.py": b"a"}
    undo(kept.find(back or ""), Writing(kept))
    assert contents(root) == {"a.py": b"b"}


def test_undo_leaves_what_was_edited_or_deleted_since(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a", "b.py": "b", "c.py": "c"})
    run = replace(kept, root, THREE).run or ""
    (root / "b.py").write_text("work of hours")
    (root / "c.py").unlink()
    done = undo(kept.find(run), Writing(kept))
    assert [trouble.path.name for trouble in done.troubles] == ["b.py", "c.py"]
    assert contents(root) == {"a.py": b"a", "b.py": b"work of hours"}
    forced = undo(kept.find(run), Writing(kept), force=True)
    assert forced.troubles == []
    assert contents(root) == {"a.py": b"a", "b.py": b"b", "c.py": b"c"}
    undo(kept.find(forced.run or ""), Writing(kept))
    assert contents(root)["b.py"] == b"work of hours"


def made_and_changed(kept: Journal, root: Path) -> Written:
    """A run that makes ``new.py`` and has ``a.py`` import it."""
    new, old = root / "new.py", root / "a.py"
    wanted = [
        Replacement(old, root, b"a", b"import new", needs=(new,)),
        Replacement(new, root, None, b"new"),
    ]
    return Writing(kept).replace(root, wanted)


def test_undo_takes_away_what_the_run_made_and_its_undo_makes_it_again(
    project: Project, kept: Journal
) -> None:
    root = project({"a.py": "a"})
    run = made_and_changed(kept, root).run or ""
    after = {"a.py": b"import new", "new.py": b"new"}
    assert contents(root) == after
    back = undo(kept.find(run), Writing(kept))
    assert (back.troubles, contents(root)) == ([], {"a.py": b"a"})
    assert undo(kept.find(back.run or ""), Writing(kept)).troubles == []
    assert contents(root) == after


def test_what_a_run_made_stays_while_a_file_that_imports_it_does(
    project: Project, kept: Journal
) -> None:
    root = project({"a.py": "a"})
    run = made_and_changed(kept, root).run or ""
    (root / "a.py").write_text("import new  # edited")
    done = undo(kept.find(run), Writing(kept))
    assert [(t.path.name, "may import it" in t.message) for t in done.troubles] == [
        ("a.py", False),
        ("new.py", True),
    ]
    assert contents(root) == {"a.py": b"import new  # edited", "new.py": b"new"}


def test_what_a_run_made_is_not_taken_away_when_it_was_edited(
    project: Project, kept: Journal
) -> None:
    root = project({"a.py": "a"})
    run = made_and_changed(kept, root).run or ""
    (root / "new.py").write_text("work of hours")
    done = undo(kept.find(run), Writing(kept))
    assert ["--force deletes it anyway" in trouble.message for trouble in done.troubles] == [True]
    assert contents(root) == {"a.py": b"a", "new.py": b"work of hours"}
    forced = undo(kept.find(run), Writing(kept), force=True)
    assert (forced.troubles, contents(root)) == ([], {"a.py": b"a"})
    undo(kept.find(forced.run or ""), Writing(kept))
    assert contents(root)["new.py"] == b"work of hours"


@pytest.mark.parametrize("step", ["open", "replace"])
def test_a_file_that_cannot_be_made_leaves_those_that_need_it_as_they_are(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    root = project({"a.py": "a"})
    failing(monkeypatch, step, 1, OSError(errno.EACCES, "Permission denied"))
    done = made_and_changed(kept, root)
    assert [t.path.name for t in done.troubles] == ["new.py", "a.py"]
    assert "new.py, which it would import, was not written" in done.troubles[1].message
    assert contents(root) == {"a.py": b"a"}


def test_a_file_that_appeared_meanwhile_is_not_replaced_by_one_that_was_to_be_made(
    project: Project, kept: Journal
) -> None:
    root = project({"a.py": "a", "new.py": "another"})
    done = made_and_changed(kept, root)
    assert [t.path.name for t in done.troubles] == ["new.py", "a.py"]
    assert contents(root) == {"a.py": b"a", "new.py": b"another"}


def test_undo_all_or_nothing(project: Project, kept: Journal) -> None:
    root = project({"a.py": "a", "b.py": "b", "c.py": "c"})
    run = replace(kept, root, THREE).run or ""
    (root / "b.py").write_text("edited")
    done = undo(kept.find(run), Writing(kept, all_or_nothing=True))
    assert len(done.troubles) == 1
    assert contents(root) == {"a.py": b"A", "b.py": b"edited", "c.py": b"C"}


def test_undo_goes_on_where_a_crash_stopped_it(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    root = project({"a.py": "a", "b.py": "b", "c.py": "c"})
    run = replace(kept, root, THREE).run or ""
    failing(monkeypatch, "replace", 2, Crash())
    with pytest.raises(Crash):
        undo(kept.find(run), Writing(kept))
    monkeypatch.undo()
    assert contents(root) == {"a.py": b"a", "b.py": b"B", "c.py": b"C"}
    assert undo(kept.find(run), Writing(kept)).troubles == []
    assert contents(root) == {"a.py": b"a", "b.py": b"b", "c.py": b"c"}


def test_what_a_killed_run_left_beside_files_goes_with_its_undo(
    project: Project, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(BaseException):
        pass

    root = project({"a.py": "a"})
    failing(monkeypatch, "replace", 1, Crash())
    monkeypatch.setattr("gpu_lint.writing._Batch._drop", lambda *_: None)
    with pytest.raises(Crash):
        replace(kept, root, {"a.py": ("a", "b")})
    monkeypatch.undo()
    assert len(contents(root)) == 2
    (record,) = kept.records()
    assert record.state is State.BEGUN
    assert undo(record, Writing(kept)).troubles == []
    assert contents(root) == {"a.py": b"a"}
    assert [one.state for one in kept.records()] == [State.UNDONE]


@posix
def test_undo_does_not_write_through_a_link_that_was_put_there(
    project: Project, kept: Journal
) -> None:
    root = project({"p/a.py": "a", "victim": "A"})
    run = replace(kept, root / "p", {"a.py": ("a", "A")}).run or ""
    (root / "p" / "a.py").unlink()
    (root / "p" / "a.py").symlink_to(root / "victim")
    done = undo(kept.find(run), Writing(kept), force=True)
    assert "is a link now" in done.troubles[0].message
    assert (root / "victim").read_text() == "A"


# --- the commands ------------------------------------------------------------------------

POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "x"\n[header]\nrequired-in = "all"\n'


def command(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "gpu_lint", *arguments]
    return subprocess.run(call, cwd=root, capture_output=True, text=True, check=False)


def test_fix_names_its_run_and_undo_takes_it_back(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": "import torch\n", "b.py": "x = 1\r\n"})
    before = {name: data for name, data in contents(root).items() if name.endswith(".py")}
    done = command(root, "fix", "--no-cache")
    assert "2 files changed; `gpu-lint undo " in done.stderr
    run = done.stderr.split("`gpu-lint undo ")[1].split("`")[0]
    assert run in command(root, "undo", "--list").stdout
    assert command(root, "undo", "--list", run).stdout.splitlines() == [
        "a.py: as the run left it",
        "b.py: as the run left it",
    ]
    undone = command(root, "undo")
    assert (undone.returncode, undone.stdout) == (0, "")
    assert f"Restored 2 files changed by run {run}. To undo this: gpu-lint undo " in undone.stderr
    assert {n: d for n, d in contents(root).items() if n.endswith(".py")} == before
    nothing = command(root, "undo")
    assert nothing.returncode == 2
    assert "nothing to undo in" in nothing.stderr


def test_undo_without_a_name_stays_in_this_project(project: Project) -> None:
    root = project({"one/gpu-lint.toml": POLICY, "one/a.py": "", "two/gpu-lint.toml": POLICY})
    command(root / "one", "fix")
    assert command(root / "two", "undo").returncode == 2
    assert (root / "one" / "a.py").read_text() != ""
    assert command(root / "one", "undo").returncode == 0
    assert (root / "one" / "a.py").read_text() == ""


def test_undo_does_not_pass_over_a_later_run_that_is_damaged(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": ""})
    assert command(root, "fix", "-q", "a.py").returncode == 0
    (root / "b.py").write_text("")
    assert command(root, "fix", "-q", "b.py").returncode == 0
    runs = sorted((Path(os.environ["GPU_LINT_STATE_DIR"]) / "runs").iterdir())
    later = next(path for path in runs if ".2." in path.name)
    later.write_bytes(later.read_bytes()[:-9])
    earlier = next(path for path in runs if ".1." in path.name).name.partition(".")[0]
    listed = command(root, "undo", "--list")
    assert (listed.returncode, listed.stdout.count(earlier)) == (2, 1)
    assert later.name.partition(".")[0] not in listed.stdout
    assert listed.stderr.startswith(f"gpu-lint: {later} cannot be read, or is damaged: ")
    done = command(root, "undo")
    assert done.returncode == 2
    assert f"`gpu-lint undo {earlier}` takes back the last one that can be read" in done.stderr
    assert (root / "a.py").read_text() != ""
    assert command(root, "undo", earlier).returncode == 0
    assert (root / "a.py").read_text() == ""


def test_undo_needs_no_policy_that_can_be_read(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": ""})
    command(root, "fix")
    (root / "gpu-lint.toml").write_text("[gpu\n")
    assert command(root, "undo").returncode == 0
    assert (root / "a.py").read_text() == ""


def test_undo_takes_back_what_was_done_from_here(project: Project) -> None:
    root = project({"here/x": "", "there/gpu-lint.toml": POLICY, "there/a.py": ""})
    command(root / "here", "fix", "../there")
    assert command(root / "here", "undo").returncode == 0
    assert (root / "there" / "a.py").read_text() == ""


def test_undo_above_a_project_does_not_reach_into_it_unasked(project: Project) -> None:
    root = project({"one/gpu-lint.toml": POLICY, "one/a.py": "", "two/x": ""})
    command(root / "one", "fix")
    refused = command(root, "undo")
    assert (refused.returncode, refused.stdout) == (2, "")
    (line,) = refused.stderr.splitlines()
    assert f"took place in {root / 'one'} (1 file): run `gpu-lint undo` there, or name " in line
    assert (root / "one" / "a.py").read_text() != ""
    run = line.rpartition("`gpu-lint undo ")[2].rstrip("`")
    assert command(root, "undo", run).returncode == 0
    assert (root / "one" / "a.py").read_text() == ""


def test_undo_of_a_run_that_changed_other_projects_too_asks(project: Project) -> None:
    names = ("one/gpu-lint.toml", "two/gpu-lint.toml")
    root = project({**dict.fromkeys(names, POLICY), "one/a.py": "", "two/a.py": ""})
    command(root, "fix", "one", "two")
    refused = command(root / "one", "undo")
    assert refused.returncode == 2
    assert f"took place in {root} (2 files)" in refused.stderr
    assert command(root, "undo").returncode == 0
    assert (root / "two" / "a.py").read_text() == ""


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
@pytest.mark.parametrize(("answer", "status"), [("y\n", 0), ("n\n", 2), ("\n", 2)])
def test_undo_above_a_project_asks_on_a_terminal(
    project: Project, answer: str, status: int
) -> None:
    root = project({"one/gpu-lint.toml": POLICY, "one/a.py": ""})
    command(root / "one", "fix")
    ours, theirs = os.openpty()
    os.write(ours, answer.encode())
    call = [sys.executable, "-m", "gpu_lint", "undo"]
    done = subprocess.run(call, cwd=root, stdin=theirs, capture_output=True, text=True)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == status
    assert "take it back? [y/N]" in done.stderr
    assert ((root / "one" / "a.py").read_text() == "") == (status == 0)


def test_fix_all_or_nothing_needs_every_file(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": "", "bad.py": b"\xff\xfe"})
    for paths in ([], ["a.py", "missing.py"]):
        done = command(root, "fix", "--all-or-nothing", *paths)
        assert done.returncode == 2
        assert "no file was changed" in done.stderr
        assert "GPU101" in done.stdout
        assert (root / "a.py").read_text() == ""
    (root / "bad.py").unlink()
    assert command(root, "fix", "--all-or-nothing").returncode == 0
    assert (root / "a.py").read_text() != ""


def test_a_diff_is_no_run(project: Project) -> None:
    root = project({"gpu-lint.toml": POLICY, "a.py": ""})
    assert command(root, "fix", "--diff").returncode == 1
    assert command(root, "undo", "--list").stdout == ""
