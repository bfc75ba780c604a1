"""Nothing outside of a tree is read, written or deleted on its account."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from click.testing import Result

from gpu_lint import namedfiles
from gpu_lint.discovery import discover
from gpu_lint.journal import Journal
from gpu_lint.repository import Confinement, repository_of
from gpu_lint.rulebook import load_rulebook
from gpu_lint.settings import SettingsFinder
from gpu_lint.undo import undo
from gpu_lint.writing import Replacement, Writing
from tests.conftest import run_cli

pytestmark = pytest.mark.skipif(os.name == "nt", reason="needs POSIX links, modes and owners")
Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
POLICY = (
    '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "x"\n'
    '[header]\nrequired-in = "all"\n[validation]\nrequired-in = "never"\n'
)
LATE = "import os\nimport torch\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
SCRIPT = shutil.which("gpu-lint", path=os.path.dirname(sys.executable))
STRANGER = 12345
is_root = os.name != "nt" and os.geteuid() == 0
root_only = pytest.mark.skipif(not is_root, reason="only root gives files away")


@pytest.fixture(params=["repository", "no repository"])
def tree(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory: a tree with a policy and one file that is to be fixed, beside a
    directory ``outside`` with one more."""
    root = tmp_path / "tree"
    for path, text in {
        root / "gpu-lint.toml": POLICY,
        root / "a.py": "import torch\n",
        tmp_path / "outside" / "b.py": "import torch\n",
    }.items():
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    if request.param == "repository":
        (root / ".git").mkdir()
    monkeypatch.chdir(root)
    return root


def contents(directory: Path) -> dict[str, bytes]:
    return {
        path.relative_to(directory).as_posix(): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file()
    }


def refused(done: Result, *words: str) -> str:
    """The one line on stderr that refuses something, with status 2."""
    lines = [line for line in done.stderr.splitlines() if all(word in line for word in words)]
    assert (done.exit_code, len(lines)) == (2, 1), done.output
    return lines[0]


def given_away(monkeypatch: pytest.MonkeyPatch, *paths: Path) -> None:
    """Let files be those of another user."""
    if not is_root:
        monkeypatch.setattr(os, "geteuid", lambda: STRANGER)
        return
    for path in paths:
        os.chown(path, STRANGER, -1, follow_symlinks=False)


# --- the cache ---------------------------------------------------------------------------


@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """A directory of the user with more files than a cache keeps, marked as another's cache."""
    directory = tmp_path / "victim"
    directory.mkdir()
    for number in range(40):
        (directory / f"{number:032x}.json").write_text("precious")
    (directory / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55\n")
    return directory


def test_a_cache_directory_that_is_a_link_is_not_touched(tree: Path, victim: Path) -> None:
    (tree / ".gpu-lint-cache").symlink_to(victim, target_is_directory=True)
    before = contents(victim)
    for arguments in (["check"], ["fix", "--diff"]):
        done = run_cli(*arguments)
        assert done.exit_code == 1
        lines = [line for line in done.stderr.splitlines() if "no cache is used" in line]
        assert len(lines) == 1
        assert ".gpu-lint-cache is a link" in lines[0]
    refused(run_cli("clean"), ".gpu-lint-cache is a link")
    assert contents(victim) == before


@pytest.mark.parametrize("name", [".gitignore", "CACHEDIR.TAG", "index"])
@pytest.mark.parametrize("there", [True, False])
def test_a_link_inside_the_cache_is_not_followed(
    tree: Path, tmp_path: Path, name: str, there: bool
) -> None:
    run_cli("check")
    cache = tree / ".gpu-lint-cache"
    (index,) = cache.glob("*.json")
    link, target = cache / (index.name if name == "index" else name), tmp_path / "target"
    if there:
        target.write_text("precious")
    link.unlink()
    link.symlink_to(target)
    (tree / "a.py").write_text("import torch  # changed\n")
    done = run_cli("check")
    assert (done.exit_code, done.stderr.count("is a link")) == (1, 1)
    if name != "index":
        refused(run_cli("clean"), "is a link")
    assert contents(tmp_path).get("target") == (b"precious" if there else None)
    assert link.is_symlink()


def test_only_files_of_our_own_names_are_deleted_from_a_cache(tree: Path, victim: Path) -> None:
    (victim / "CACHEDIR.TAG").unlink()
    others = {"settings.json": "{}", ".new-note": "x", "f" * 31 + ".json": "x"}
    for name, text in others.items():
        (victim / name).write_text(text)
        os.utime(victim / name, (1, 1))
    (victim / ".gpu-lint-index-link").symlink_to(tree / "a.py")
    assert run_cli("check", "--cache-dir", str(victim)).exit_code == 1
    left = {path.name for path in victim.iterdir()}
    assert others.keys() < left
    assert len([name for name in left if len(name) == 37]) == 32
    done = run_cli("clean", "--cache-dir", str(victim))
    assert (done.exit_code, "4 other files left" in done.output) == (0, True)
    assert {path.name for path in victim.iterdir()} == {*others, ".gpu-lint-index-link"}


def test_clean_leaves_a_gitignore_that_is_not_ours(tree: Path) -> None:
    run_cli("check")
    (tree / ".gpu-lint-cache" / ".gitignore").write_text("mine\n")
    assert "1 other file left" in run_cli("clean").output
    assert contents(tree / ".gpu-lint-cache") == {".gitignore": b"mine\n"}


def test_the_cache_of_another_tool_is_not_cleaned(tree: Path, victim: Path) -> None:
    before = contents(victim)
    refused(run_cli("clean", "--cache-dir", str(victim)), "is no cache of gpu-lint")
    assert contents(victim) == before


def test_a_link_that_the_user_names_as_cache_directory_is_followed(
    tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "big").mkdir()
    (tmp_path / "mine").symlink_to(tmp_path / "big")
    done = run_cli("check", "--cache-dir", str(tmp_path / "mine"))
    assert "no cache is used" not in done.stderr
    assert list((tmp_path / "big").glob("*.json"))


def test_a_named_cache_directory_behind_a_link_of_the_repository_is_refused(
    tree: Path, victim: Path
) -> None:
    (tree / ".git").mkdir(exist_ok=True)
    (tree / ".cache").symlink_to(victim)
    before = contents(victim)
    done = run_cli("check", "--cache-dir", ".cache/gpu-lint")
    assert (done.exit_code, done.stderr.count("no cache is used")) == (1, 1)
    assert contents(victim) == before


# --- the state directory -----------------------------------------------------------------


def test_a_state_directory_that_others_may_write_is_not_used(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(state))
    assert run_cli("fix").exit_code == 0
    assert run_cli("undo").exit_code == 0
    state.chmod(0o777)
    refused(run_cli("fix"), "may be written by other users", "chmod", "GPU_LINT_STATE_DIR")
    refused(run_cli("undo"), "may be written by other users")
    assert (tree / "a.py").read_text() == "import torch\n"
    done = run_cli("check")
    assert (done.exit_code, done.stderr.count("may be written by other users")) == (1, 1)


def test_a_state_directory_made_under_any_mask_can_be_used_again(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(tmp_path / "state" / "gpu-lint"))
    before = os.umask(0)
    try:
        assert run_cli("fix", "--no-cache").exit_code == 0
    finally:
        os.umask(before)
    assert run_cli("undo").exit_code == 0


@root_only
def test_a_state_directory_behind_a_link_of_another_user_is_not_used(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to("real")
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(tmp_path / "state"))
    assert run_cli("fix", "--no-cache").exit_code == 0
    given_away(monkeypatch, tmp_path / "state")
    refused(run_cli("undo"), "is a link that another user made")


@pytest.mark.skipif(is_root, reason="root may use any")
def test_a_state_directory_of_another_user_is_not_used(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "state").mkdir(mode=0o700)
    monkeypatch.setenv("GPU_LINT_STATE_DIR", str(tmp_path / "state"))
    given_away(monkeypatch, tmp_path / "state")
    refused(run_cli("fix"), "belongs to another user")


# --- reports and drafts ------------------------------------------------------------------


@pytest.mark.parametrize("way", ["link", "dangling", "directory"])
def test_a_report_is_written_through_no_link_of_the_tree(
    tree: Path, tmp_path: Path, way: str
) -> None:
    outside = tmp_path / "outside"
    name = "b.py" if way != "dangling" else "new"
    if way == "directory":
        (tree / "out").symlink_to(outside)
    else:
        (tree / "report").symlink_to(outside / name)
    before = contents(outside)
    output = "out/b.py" if way == "directory" else "report"
    for command in ("check", "fix"):
        refused(run_cli(command, "-o", output), f"--output-file {output}")
    assert contents(outside) == before
    assert (tree / "a.py").read_text() == "import torch\n", "refused before any work"


def test_a_report_goes_where_the_user_names_a_plain_file(tree: Path, tmp_path: Path) -> None:
    (tree / "report").write_text("old and much longer than what will replace it " * 9)
    (tmp_path / "mine").symlink_to(tmp_path / "far")
    for path in ("report", str(tmp_path / "new"), str(tmp_path / "mine")):
        assert run_cli("check", "-o", path, "--output-format", "concise").exit_code == 1
    expected = (tree / "report").read_text()
    assert expected.startswith("a.py:1:1: ")
    assert (tmp_path / "new").read_text() == (tmp_path / "far").read_text() == expected


@root_only
def test_a_report_is_written_through_no_link_of_another_user(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "report").symlink_to(tmp_path / "outside" / "b.py")
    given_away(monkeypatch, tmp_path / "report")
    refused(run_cli("check", "-o", str(tmp_path / "report")), "that another user made")
    assert (tmp_path / "outside" / "b.py").read_text() == "import torch\n"


def test_a_report_may_go_to_the_devices_of_the_system(tree: Path) -> None:
    assert SCRIPT is not None
    command = [SCRIPT, "check", "--no-cache", "--output-format", "concise", "-o"]
    shown = subprocess.run([*command, "/dev/stdout"], capture_output=True, text=True, check=False)
    assert shown.returncode == 1
    assert "a.py:1:1" in shown.stdout
    nothing = subprocess.run([*command, "/dev/null"], capture_output=True, text=True, check=False)
    assert (nothing.returncode, nothing.stdout) == (1, "")


def test_a_pipe_of_the_tree_does_not_make_a_report_wait(tree: Path, tmp_path: Path) -> None:
    os.mkfifo(tree / "report")
    refused(run_cli("check", "-o", "report"), "no plain file")


@pytest.mark.parametrize("name", [".gpu-lint.toml.draft", "gpu-lint.toml"])
@pytest.mark.parametrize("force", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_init_writes_through_no_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, force: bool, there: bool
) -> None:
    tree, target = tmp_path / "tree", tmp_path / "target"
    tree.mkdir()
    if there:
        target.write_text("precious")
    (tree / name).symlink_to(target)
    monkeypatch.chdir(tree)
    done = run_cli("init", "--visible-devices", "1", *["--force"] * force)
    assert done.exit_code == (2 if name == "gpu-lint.toml" else 0)
    assert contents(tmp_path).get("target") == (b"precious" if there else None)
    assert (tree / name).is_symlink()


def test_init_leaves_no_file_when_a_value_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run_cli("init", "--visible-devices", "1", "--alloc-conf", "nonsense").exit_code == 2
    assert list(tmp_path.iterdir()) == []
    assert run_cli("init", "--visible-devices", "1").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["gpu-lint.toml"]


# --- paths -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["check", "fix", "graph"])
@pytest.mark.parametrize("path", ["evil", "evil/b.py", "evil/sub/c.py", "b.py"])
def test_a_named_path_that_a_link_leads_out_of_the_tree_is_refused(
    tree: Path, tmp_path: Path, command: str, path: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "sub").mkdir()
    (outside / "sub" / "c.py").write_text("import torch\n")
    (tree / "evil").symlink_to(outside)
    (tree / "b.py").symlink_to(outside / "b.py")
    before = contents(outside)
    line = refused(run_cli(command, path), "leaves the project")
    assert line.startswith(f"gpu-lint: {path} ")
    assert str(outside) in line
    assert contents(outside) == before


def test_a_fix_of_all_names_leaves_alone_what_links_lead_to(tree: Path, tmp_path: Path) -> None:
    (tree / "evil").symlink_to(tmp_path / "outside")
    (tree / "also.py").symlink_to(tmp_path / "outside" / "b.py")
    before = contents(tmp_path / "outside")
    done = run_cli("fix", "a.py", "also.py", "evil", "gpu-lint.toml/..")
    assert done.exit_code == 2
    assert done.stderr.count("leaves the project") == 2
    assert contents(tmp_path / "outside") == before
    assert "CUDA_VISIBLE_DEVICES" in (tree / "a.py").read_text()


def test_a_link_in_a_repository_to_another_repository_is_refused(
    tree: Path, tmp_path: Path
) -> None:
    (tree / ".git").mkdir(exist_ok=True)
    (tmp_path / "outside" / ".git").mkdir()
    (tree / "evil").symlink_to(tmp_path / "outside")
    refused(run_cli("fix", "evil/b.py"), "leaves the project")
    assert (tmp_path / "outside" / "b.py").read_text() == "import torch\n"


def test_dots_behind_a_link_lead_nowhere_else(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / "deep").mkdir()
    (tree / "evil").symlink_to(tmp_path / "outside" / "deep")
    (tree / "b.py").write_text("x = 1\n")
    refused(run_cli("fix", "evil/../b.py"), "goes back with `..`", str(tmp_path / "outside"))
    assert (tmp_path / "outside" / "b.py").read_text() == "import torch\n"


@pytest.mark.parametrize("path", ["checkout", "checkout/a.py", "above/tree/a.py"])
def test_a_checkout_that_is_reached_through_a_link_is_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    tree = tmp_path / "real" / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / "gpu-lint.toml").write_text(POLICY)
    (tree / "a.py").write_text("import torch\n")
    (tmp_path / "checkout").symlink_to(tree)
    (tmp_path / "above").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    assert run_cli("fix", path).exit_code == 0
    assert "CUDA_VISIBLE_DEVICES" in (tree / "a.py").read_text()
    assert run_cli("undo").exit_code in (0, 2)  # which project this is, the current directory says
    monkeypatch.chdir(tmp_path / "checkout")
    run_cli("undo")
    assert (tree / "a.py").read_text() == "import torch\n"


def test_links_inside_the_tree_are_followed(tree: Path) -> None:
    (tree / "lib").mkdir()
    (tree / "lib" / "c.py").write_text("import torch\n")
    (tree / "again").symlink_to("lib")
    (tree / "d.py").symlink_to("lib/c.py")
    assert run_cli("fix", "again/c.py").exit_code == 0
    assert "CUDA_VISIBLE_DEVICES" in (tree / "lib" / "c.py").read_text()
    assert run_cli("check", "d.py", "lib").exit_code == 0


@pytest.mark.parametrize("way", ["file", "directory"])
@pytest.mark.parametrize("place", ["outside", "inside"])
def test_imports_are_followed_through_links_that_stay_inside_alone(
    tree: Path, tmp_path: Path, way: str, place: str
) -> None:
    (tree / "gpu-lint.toml").unlink()
    target = tmp_path / "outside" if place == "outside" else tree / "lib"
    target.mkdir(exist_ok=True)
    (target / "wake.py").write_text("import torch\ntorch.cuda.init()\n")
    (tree / "app.py").write_text(
        f"import os\nimport {'wake' if way == 'file' else 'linked.wake'}\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
    )
    if way == "file":
        (tree / "wake.py").symlink_to(target / "wake.py")
    else:
        (tree / "linked").symlink_to(target)
    done = run_cli("check", "app.py", "--output-format", "concise", "--no-cache")
    assert ("GPU115" in done.output) == (place == "inside"), done.output


def test_a_relative_import_does_not_climb_above_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tmp_path / "wake.py").write_text("import torch\ntorch.cuda.init()\n")
    (tree / "app.py").write_text(
        "import os\nfrom ..wake import x\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
    )
    monkeypatch.chdir(tree)
    check = ("check", "app.py", "--output-format", "concise", "--no-cache")
    assert "GPU115" in run_cli(*check).output, "so it is read where nothing ends the tree"
    (tree / ".git").mkdir()
    assert "GPU115" not in run_cli(*check).output


def test_a_source_on_standard_input_brings_no_configuration_from_outside(
    tree: Path, tmp_path: Path
) -> None:
    (tree / "evil").symlink_to(tmp_path / "outside")
    (tmp_path / "outside" / "gpu-lint.toml").write_text('hunter2 = "secret"\n')
    done = run_cli("check", "--stdin-filename", "evil/b.py", "-")
    assert "hunter2" not in done.output
    refused(done, "leaves the project")


def test_of_plain_files_the_disk_is_not_asked_where_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = [tmp_path / f"d{n % 10}" / f"f{n}.py" for n in range(500)]
    for path in files:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    calls = 0
    real = os.path.realpath

    def counted(path: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        return real(path, **more)

    monkeypatch.setattr(os.path, "realpath", counted)
    finder = SettingsFinder(load_rulebook(), isolated=True, root=tmp_path)
    assert len(discover(files, finder).files) == 500
    assert len(discover([tmp_path], finder).files) == 500
    assert calls <= 30


def test_a_repository_ends_where_a_link_leads_out_of_it(tmp_path: Path) -> None:
    for path in ("one/.git", "one/part/.git", "two/.git"):
        (tmp_path / path).mkdir(parents=True)
    (tmp_path / "one" / "link").symlink_to(tmp_path / "two")
    (tmp_path / "checkout").symlink_to(tmp_path / "two")
    expected = {
        "one/a.py": "one",
        "one/part/a.py": "one/part",
        "one/link/a.py": "one",
        "checkout/a.py": "checkout",
    }
    found = {name: repository_of(tmp_path / name) for name in expected}
    assert found == {name: tmp_path / root for name, root in expected.items()}
    assert repository_of(tmp_path / "a.py") is None


def test_a_tree_of_any_depth_has_its_repository(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    deep = str(tmp_path) + "/x" * 1500
    assert Confinement(tmp_path).tree_of(deep) == str(tmp_path)


# --- writing refuses by itself -----------------------------------------------------------


@pytest.fixture
def kept(tmp_path_factory: pytest.TempPathFactory) -> Journal:
    return Journal(tmp_path_factory.mktemp("journal"))


def test_writing_goes_through_no_linked_directory_out_of_the_project(
    tree: Path, tmp_path: Path, kept: Journal
) -> None:
    (tree / "evil").symlink_to(tmp_path / "outside")
    wanted = [Replacement(tree / "evil" / "b.py", tree, b"import torch\n", b"broken")]
    done = Writing(kept).replace(tree, wanted)
    assert "leaves the project" in done.troubles[0].message
    assert contents(tmp_path / "outside") == {"b.py": b"import torch\n"}


def test_a_directory_that_becomes_a_link_while_files_are_written_is_noticed(
    tree: Path, tmp_path: Path, kept: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tree / "part").mkdir()
    (tree / "part" / "b.py").write_text("import torch\n")
    real, calls = os.fsync, 0

    def swap_meanwhile(descriptor: int) -> None:
        nonlocal calls
        real(descriptor)
        calls += 1
        if calls == 2:  # the journal is complete, and no file is written
            (tree / "part").rename(tree / "moved")
            (tree / "part").symlink_to(tmp_path / "outside")

    monkeypatch.setattr(os, "fsync", swap_meanwhile)
    wanted = [Replacement(tree / "part" / "b.py", tree, b"import torch\n", b"broken")]
    done = Writing(kept).replace(tree, wanted)
    assert calls >= 2
    assert "leads elsewhere" in done.troubles[0].message
    assert contents(tmp_path / "outside") == {"b.py": b"import torch\n"}


@pytest.mark.parametrize("force", [True, False])
def test_undo_goes_through_no_directory_that_is_a_link_now(
    tree: Path, tmp_path: Path, kept: Journal, force: bool
) -> None:
    (tree / "part").mkdir()
    (tree / "part" / "b.py").write_text("old")
    wanted = [Replacement(tree / "part" / "b.py", tree, b"old", b"import torch\n")]
    run = Writing(kept).replace(tree, wanted).run or ""
    shutil.rmtree(tree / "part")
    (tree / "part").symlink_to(tmp_path / "outside")
    done = undo(kept.find(run), Writing(kept), force=force)
    assert "is behind a link now" in done.troubles[0].message
    assert contents(tmp_path / "outside") == {"b.py": b"import torch\n"}


def test_undo_finds_a_checkout_that_was_moved_behind_a_link(
    tree: Path, tmp_path: Path, kept: Journal
) -> None:
    wanted = [Replacement(tree / "a.py", tree, b"import torch\n", b"new")]
    run = Writing(kept).replace(tree, wanted).run or ""
    tree.rename(tmp_path / "moved")
    tree.symlink_to(tmp_path / "moved")
    assert undo(kept.find(run), Writing(kept)).troubles == []
    assert (tmp_path / "moved" / "a.py").read_text() == "import torch\n"


# --- what a configuration names ----------------------------------------------------------

PACK = '[framework]\nname = "ours"\nmodules = ["ours"]\n'


@pytest.mark.parametrize(
    "glob",
    [
        "../outside/x.toml",
        "../outside/*.toml",
        "../../**",
        "**/../../*",
        "linked.toml",
        "linked/x.toml",
        "link*.toml",
        "*/x.toml",
        "linked/*.toml",
        "/etc/*.toml",
        "x\\u0000.toml",
        "",
    ],
)
def test_rule_packs_outside_are_neither_looked_for_nor_shown(
    tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, glob: str
) -> None:
    outside = tmp_path / "outside"
    (outside / "x.toml").write_text('hunter2 = "password"\n')
    (tree / "linked.toml").symlink_to(outside / "x.toml")
    (tree / "linked").symlink_to(outside)
    (tree / "gpu-lint.toml").write_text(f'extend-rules = ["{glob}"]\n')
    listed = []
    real = os.scandir

    def listing(path: Any) -> Any:
        listed.append(os.path.realpath(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", listing)
    line = refused(run_cli("check", "--no-cache"), "extend-rules")
    assert "hunter2" not in line
    assert {path for path in listed if not path.startswith(str(tree))} == set()


def test_a_glob_looks_through_no_more_than_so_many_names(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(namedfiles, "MOST_ENTRIES", 10)
    for number in range(11):
        (tree / f"d{number}").mkdir()
    (tree / "gpu-lint.toml").write_text('extend-rules = ["**/x.toml"]\n')
    refused(run_cli("check", "--no-cache"), "more than 10 names")


def test_a_configuration_names_files_of_its_whole_repository(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_repository = (tree / ".git").exists()
    (tree / "gpu-lint.toml").unlink()
    for name, text in {
        "packs/deep/x.toml": PACK,
        "header.txt": "$environ['CUDA_DEVICE_ORDER'] = $device_order\n"
        "$environ['CUDA_VISIBLE_DEVICES'] = $visible_devices\n",
        "part/gpu-lint.toml": 'extend-rules = ["../packs/**/*.toml"]\n'
        + POLICY.replace("[header]\n", '[header]\ntemplate = "../header.txt"\n'),
        "part/a.py": "import torch\n",
    }.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    done = run_cli("fix", "part")
    if in_repository:
        assert (done.exit_code, "os.environ" in (tree / "part" / "a.py").read_text()) == (0, True)
    else:
        refused(done, "extend-rules", "leads outside")


@pytest.mark.parametrize("name", ["gpu-lint.toml", "pyproject.toml"])
def test_a_configuration_behind_a_link_out_of_the_tree_is_not_read(
    tree: Path, tmp_path: Path, name: str
) -> None:
    (tmp_path / "outside" / "secret").write_text("[hunter2\n")
    (tree / "gpu-lint.toml").unlink()
    (tree / name).symlink_to(tmp_path / "outside" / "secret")
    line = refused(run_cli("check"), "leads out of", "--config")
    assert "hunter2" not in line


@pytest.mark.parametrize("name", ["x\\u0000", "../outside/b.py", "linked", "/etc/passwd"])
def test_a_template_outside_is_refused_without_a_look(
    tree: Path, tmp_path: Path, name: str
) -> None:
    (tree / "linked").symlink_to(tmp_path / "outside" / "b.py")
    policy = POLICY.replace("[header]\n", f'[header]\ntemplate = "{name}"\n')
    (tree / "gpu-lint.toml").write_text(policy)
    refused(run_cli("check", "--no-cache"), "lies outside the project")


def test_a_pyproject_beside_the_configuration_is_not_read_from_outside(
    tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside" / "secret").write_text("[hunter2\n")
    (tree / "pyproject.toml").symlink_to(tmp_path / "outside" / "secret")
    done = run_cli("check")
    assert (done.exit_code, "hunter2" in done.output) == (1, False)


def test_a_configuration_behind_a_link_inside_the_tree_is_used(tree: Path) -> None:
    (tree / "ci").mkdir()
    (tree / "gpu-lint.toml").rename(tree / "ci" / "policy.toml")
    (tree / "gpu-lint.toml").symlink_to("ci/policy.toml")
    assert "GPU101" in run_cli("check", "--output-format", "concise").output


def test_a_named_configuration_behind_a_link_of_the_repository_is_refused(
    tree: Path, tmp_path: Path
) -> None:
    (tree / ".git").mkdir(exist_ok=True)
    (tmp_path / "outside" / "secret").write_text("[hunter2\n")
    (tree / "policy.toml").symlink_to(tmp_path / "outside" / "secret")
    line = refused(run_cli("check", "--config", "policy.toml"), "leads out of")
    assert "hunter2" not in line


def test_a_named_configuration_is_trusted_for_its_own_directory(tree: Path, tmp_path: Path) -> None:
    policies = tmp_path / "policies"
    policies.mkdir()
    (policies / "x.toml").write_text(PACK)
    policy = policies / "policy.toml"
    policy.write_text('extend-rules = ["x.toml"]\n' + POLICY)
    (tmp_path / "mine.toml").symlink_to(policy)
    assert run_cli("check", "--config", str(policy)).exit_code == 1
    policy.write_text('extend-rules = ["../outside/x.toml"]\n' + POLICY)
    refused(run_cli("check", "--config", str(policy)), "leads outside")


def test_an_ignore_file_that_is_a_link_is_not_read(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "outside" / "all").write_text("*\n")
    (tree / ".gitignore").symlink_to(tmp_path / "outside" / "all")
    assert run_cli("check").exit_code == 1


# --- where configuration is looked for ---------------------------------------------------


def test_configuration_is_not_looked_for_above_the_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = tmp_path / "tree"
    (tree / "part").mkdir(parents=True)
    (tree / "part" / "a.py").write_text("import torch\n")
    (tmp_path / "gpu-lint.toml").write_text(POLICY)
    monkeypatch.chdir(tree)
    assert run_cli("check").exit_code == 1
    (tree / ".git").write_text("gitdir: elsewhere\n")
    assert run_cli("check").exit_code == 0
    (tree / "pyproject.toml").write_text('[tool.gpu-lint.gpu]\nvisible-devices = "GPU-1"\n')
    assert "pyproject.toml" in run_cli("config").output


@pytest.mark.parametrize("name", ["gpu-lint.toml", "pyproject.toml"])
def test_outside_a_repository_the_configuration_of_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "a.py").write_text("import torch\n")
    theirs = tmp_path / name
    text = POLICY.replace("[", "[tool.gpu-lint.") if name == "pyproject.toml" else POLICY
    theirs.write_text(text)
    monkeypatch.chdir(tree)
    assert run_cli("check", "--no-cache").exit_code == 1
    given_away(monkeypatch, theirs)
    done = run_cli("fix", "--diff", "--no-cache")
    assert (done.exit_code, done.stdout) == (0, "")
    (line,) = [line for line in done.stderr.splitlines() if "is not used" in line]
    assert str(theirs) in line
    assert "belongs to another user" in line
    assert f"--config {theirs}" in line
    assert run_cli("check", "--no-cache", "--config", str(theirs)).exit_code == 1


def test_another_users_pyproject_without_our_table_is_not_spoken_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "a.py").write_text("x = 1\n")
    monkeypatch.chdir(tmp_path / "tree")
    given_away(monkeypatch, tmp_path / "pyproject.toml")
    assert "not used" not in run_cli("check", "--no-cache").stderr


def test_inside_a_repository_the_owner_is_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A checkout of the host, mounted into a container that runs as another user."""
    tree = tmp_path / "tree"
    (tree / ".git").mkdir(parents=True)
    (tree / "part").mkdir()
    (tree / "part" / "a.py").write_text("import torch\n")
    (tree / "gpu-lint.toml").write_text(POLICY)
    monkeypatch.chdir(tree)
    given_away(monkeypatch, tree, *tree.rglob("*"))
    done = run_cli("check", "--no-cache")
    assert (done.exit_code, "not used" in done.stderr) == (1, False)


@root_only
def test_in_a_checkout_made_by_root_in_another_users_directory_the_policy_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a CI runner mounts for a job that clones in its container."""
    (tmp_path / ".git").mkdir()
    (tmp_path / "gpu-lint.toml").write_text(POLICY)
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "a.py").write_text("import torch\n")
    monkeypatch.chdir(tmp_path)
    given_away(monkeypatch, tmp_path)
    assert run_cli("check", "--no-cache").exit_code == 1


@root_only
@pytest.mark.parametrize("ours", [True, False])
def test_a_repository_that_another_user_planted_in_a_shared_directory_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ours: bool
) -> None:
    shared = tmp_path / "shared"
    (shared / ".git").mkdir(parents=True)
    shared.chmod(0o1777)
    (shared / "gpu-lint.toml").write_text(POLICY)
    (shared / "work").mkdir()
    (shared / "work" / "a.py").write_text("import torch\n")
    monkeypatch.chdir(shared / "work")
    given_away(monkeypatch, shared / "gpu-lint.toml", *[shared / ".git"] * (not ours))
    done = run_cli("check", "--no-cache")
    assert (done.exit_code, done.stderr.count("is not used")) == (0, 1)


@root_only
def test_under_sudo_the_callers_configuration_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu-lint.toml").write_text(POLICY)
    (tmp_path / "a.py").write_text("import torch\n")
    monkeypatch.chdir(tmp_path)
    given_away(monkeypatch, tmp_path / "gpu-lint.toml")
    monkeypatch.setenv("SUDO_UID", str(STRANGER))
    assert run_cli("check", "--no-cache").exit_code == 1


def test_workers_use_the_configuration_that_the_run_uses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gpu-lint.toml").write_text(POLICY)
    spec = SettingsFinder(load_rulebook(), root=tmp_path).spec
    given_away(monkeypatch, tmp_path / "gpu-lint.toml")
    finder = SettingsFinder.of(spec, load_rulebook())
    used = finder.for_file(tmp_path / "a.py").policy_for(tmp_path / "a.py") is not None
    assert used != is_root, "the user of the run is trusted, and nobody else"
