"""``check --untrusted``: a branch has no say in its own check; and what Git tracks."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from click.testing import CliRunner

from gpu_lint.cli import main
from gpu_lint.discovery import ALWAYS_EXCLUDED, BUILT
from gpu_lint.gitindex import may_track, tracked_files
from tests.conftest import ROOT

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
LATE = "import os\nimport torch\ntorch.cuda.init()\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
POLICY = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "never"\n[validation]\nrequired-in = "never"\n'
BASE = "../base/gpu-lint.toml"
GIT = shutil.which("git")
needs_git = pytest.mark.skipif(GIT is None, reason="needs git")
links = pytest.mark.skipif(os.name == "nt", reason="links need a privilege on Windows")


def git(*arguments: str, cwd: Path) -> str:
    assert GIT is not None
    environment = {
        **os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a",
        "GIT_COMMITTER_EMAIL": "a@b",
    }  # fmt: skip
    done = subprocess.run(
        [GIT, *arguments], cwd=cwd, capture_output=True, text=True, env=environment, check=True
    )
    return done.stdout


class Tree:
    """A branch in ``branch``, which is the current directory, and the policy of the base branch
    in ``base``, beside each other."""

    def __init__(self, project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = project({"base/gpu-lint.toml": POLICY, "branch/.git/HEAD": ""})
        self.branch = self.root / "branch"
        self._monkeypatch = monkeypatch
        monkeypatch.chdir(self.branch)

    def add(self, files: dict[str, str], below: str = "branch") -> None:
        for name, text in files.items():
            path = self.root / below / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")

    def run(self, command: str, *arguments: str) -> tuple[int, str, str]:
        given = [command, "--output-format", "concise", *arguments]
        done = CliRunner().invoke(main, given)
        assert isinstance(done.exception, (SystemExit, type(None))), done.exception
        return done.exit_code, done.stdout, done.stderr

    def untrusted(self, *arguments: str, config: str = BASE) -> tuple[int, str, str]:
        return self.run("check", "--untrusted", "--config", config, *arguments)


@pytest.fixture
def tree(project: Project, monkeypatch: pytest.MonkeyPatch) -> Tree:
    return Tree(project, monkeypatch)


# --- a branch does not silence its own check ----------------------------------------------

OWN_LINE = LATE.replace("os.environ[", "# gpu-lint: ignore[GPU107] trust me\nos.environ[")
SILENCERS: dict[str, dict[str, str]] = {
    "a comment on the line": {"a.py": LATE.rstrip() + "  # gpu-lint: ignore\n"},
    "a comment on a line of its own": {"a.py": OWN_LINE},
    "a comment for the file": {"a.py": "# gpu-lint: ignore-file\n" + LATE},
    "a noqa": {"a.py": LATE.rstrip() + "  # noqa: GPU107\n"},
    "an ignore file": {"a.py": LATE, ".gitignore": "*.py\n"},
    "an ignore file below": {"sub/a.py": LATE, "sub/.gitignore": "a.py\n"},
    "the excludes of the clone": {"a.py": LATE, ".git/info/exclude": "*.py\n"},
    "a configuration": {"a.py": LATE, "gpu-lint.toml": 'ignore = ["GPU107"]\n'},
    "a nearer configuration": {"sub/a.py": LATE, "sub/gpu-lint.toml": 'exclude = ["*"]\n'},
    "a pyproject.toml": {"a.py": LATE, "pyproject.toml": '[tool.gpu-lint]\nselect = ["GPU3"]\n'},
    "rules for one file": {
        "a.py": LATE,
        "gpu-lint.toml": '[per-file-ignores]\n"a.py" = ["GPU107"]\n',
    },
    **{
        f"a directory named {name}": {f"{name}/a.py": LATE}
        for name in ALWAYS_EXCLUDED
        if name != ".git"
    },
    "such a directory below": {"sub/build/venv/a.py": LATE},
}


@pytest.mark.parametrize("files", SILENCERS.values(), ids=SILENCERS.keys())
def test_a_branch_does_not_silence_its_own_check(tree: Tree, files: dict[str, str]) -> None:
    tree.add({**files, "clean.py": ""})
    status, silenced, _ = tree.run("check", "--no-cache")
    assert (status, silenced) == (0, ""), "it does silence a check that trusts the tree"
    status, found, _ = tree.untrusted()
    assert (status, found.count("GPU107")) == (1, 1), found
    assert "GPU002" not in found
    assert "GPU003" not in found


IMPORTER = "import os\nimport torch\ntorch.cuda.init()\nimport mask\n"
MASK = "import os\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"


@pytest.mark.parametrize(
    ("files", "options"),
    [
        ({"app.py": IMPORTER, ".gitignore": "app.py\n"}, ["--no-respect-gitignore"]),
        ({"app.py": IMPORTER, "gpu-lint.toml": 'exclude = ["app.py"]\n'}, ["--isolated"]),
        ({"venv/app.py": IMPORTER.replace("import mask", "from .. import mask"),
          "__init__.py": "", "venv/__init__.py": ""}, None),
    ],
    ids=["ignored", "excluded", "in a directory that is left out"],
)  # fmt: skip
def test_a_branch_hides_no_importer_of_a_named_file(
    tree: Tree, files: dict[str, str], options: list[str] | None
) -> None:
    tree.add({"mask.py": MASK, **files})
    told = "1 file that imports the named ones checked with them"
    assert told not in tree.run("check", "--no-cache", "mask.py")[2]
    if options is not None:
        assert told in tree.run("check", "--no-cache", *options, "mask.py")[2]
    status, found, stderr = tree.untrusted("mask.py")
    assert (status, found.count("GPU116")) == (1, 1), found
    assert told in stderr


def test_a_broken_configuration_of_a_branch_does_not_end_the_check(tree: Tree) -> None:
    tree.add({"a.py": LATE, "gpu-lint.toml": "[[[\n", "sub/pyproject.toml": "gpu-lint = \n"})
    status, found, told = tree.untrusted()
    assert (status, found.count("GPU107")) == (1, 1)
    assert "1 configuration had no say" in told


def test_workers_trust_the_tree_no_more_than_the_process_that_started_them(tree: Tree) -> None:
    silent = SILENCERS["a comment for the file"]["a.py"]
    tree.add({f"{name}.py": silent for name in "abcd"})
    done = subprocess.run(
        [sys.executable, "-m", "gpu_lint", "check", "--untrusted", "--config", BASE, "-j", "2",
         "--output-format", "concise"],
        cwd=tree.branch, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout.count("GPU107")) == (1, 4), done.stderr
    assert "4 suppression comments had no say" in done.stderr


def test_standard_input_is_not_trusted_either(tree: Tree) -> None:
    source = SILENCERS["a comment for the file"]["a.py"]
    for options, status in ((["--isolated"], 0), (["--untrusted", "--isolated"], 1)):
        done = CliRunner().invoke(main, ["check", *options, "-"], input=source)
        assert done.exit_code == status, done.output


def test_one_line_counts_what_was_overridden(tree: Tree) -> None:
    pack = 'extend-rules = ["x.toml", "../../**"]\n'
    tree.add(SILENCERS["a comment for the file"])
    tree.add({
        "b.py": SILENCERS["a noqa"]["a.py"], "gpu-lint.toml": pack, "sub/gpu-lint.toml": "",
        ".gitignore": "# nothing\n\n", "sub/.gitignore": "x\n", ".git/info/exclude": "y\n",
        "pyproject.toml": '[project]\nname = "gpu-lint"\n', ".gpu-lint-cache/x.json": "{}",
    })  # fmt: skip
    said = (
        "gpu-lint: --untrusted: the tree's own 2 suppression comments, 2 ignore files, "
        "2 configurations, 2 entries of extend-rules and 1 cache had no say\n"
    )
    assert said in tree.untrusted()[2]
    assert "had no say" not in tree.untrusted("-q")[2]
    above = tree.untrusted("sub")[2]
    assert "2 ignore files, 2 configurations" in above


def test_nothing_is_said_where_nothing_was_overridden(tree: Tree) -> None:
    tree.add({"a.py": "x = 1\n"})
    assert tree.untrusted() == (0, "", "All clear: 1 file checked.\n")


def test_the_policy_that_was_named_decides(tree: Tree) -> None:
    tree.add({"a.py": LATE, "left_out.py": LATE, "old/b.py": LATE, ".venv/c.py": LATE})
    policy = 'exclude = ["left_out.py", ".venv/"]\n[per-file-ignores]\n"old/**" = ["GPU107"]\n'
    tree.add({"gpu-lint.toml": policy}, "base")
    assert tree.untrusted()[1].count("GPU107") == 1
    assert tree.untrusted("--force-exclude", "left_out.py")[0] == 0
    assert tree.untrusted("--ignore", "GPU107")[0] == 0
    assert tree.untrusted("--config", 'ignore = ["GPU1"]')[0] == 0
    tree.add({"gpu-lint.toml": 'fail-on = "error"\nselect = ["GPU108"]\n'}, "base")
    late_import = "import os\nimport torch\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'\n"
    tree.add({"a.py": late_import})
    status, found, _ = tree.untrusted("a.py")
    assert (status, "GPU108" in found) == (0, True)


def test_named_files_are_found_in_any_directory_although_excludes_are_forced(tree: Tree) -> None:
    tree.add({"build/a.py": LATE, "venv/b.py": LATE})
    assert tree.run("check", "--force-exclude", "build/a.py", "venv/b.py")[0] == 0
    assert tree.untrusted("--force-exclude", "build/a.py", "venv/b.py")[1].count("GPU107") == 2


def test_scripts_that_a_branch_declares_are_entry_points_too(tree: Tree) -> None:
    validated = POLICY.replace(
        'required-in = "never"\n[validation]\nrequired-in = "never"',
        'required-in = "entry-points"\n[validation]\nrequired-in = "never"',
    )
    tree.add({"gpu-lint.toml": validated}, "base")
    tree.add({
        "tool.py": "import torch\n\n\ndef run():\n    torch.cuda.init()\n",
        "user.py": "import tool\n",
    })  # fmt: skip
    assert tree.untrusted()[0] == 0
    tree.add({"pyproject.toml": '[project.scripts]\nx = "tool:run"\n'})
    status, found, _ = tree.untrusted()
    assert (status, "tool.py:1:1: GPU101" in found) == (1, True)


@needs_git
@pytest.mark.skipif(os.name == "nt", reason="runs the commands in sh")
def test_the_commands_of_the_documentation_do_what_it_says(tree: Tree) -> None:
    text = (ROOT / "SECURITY.md").read_text("utf-8")
    (script,) = re.findall(r"```console\n(git clone.*?)```", text, re.DOTALL)
    origin = tree.root / "origin"
    origin.mkdir()
    git("init", "-q", "-b", "main", cwd=origin)
    tree.add({"gpu-lint.toml": POLICY, "a.py": "x = 1\n"}, "origin")
    git("add", ".", cwd=origin)
    git("commit", "-qm", "base", cwd=origin)
    git("checkout", "-qb", "stranger", cwd=origin)
    tree.add(
        {"gpu-lint.toml": 'ignore = ["GPU1"]\n', ".gitignore": "b.py\n", "b.py": LATE}, "origin"
    )
    tree.add({"venv/c.py": "# gpu-lint: ignore-file\n" + LATE}, "origin")
    git("add", "-f", ".", cwd=origin)
    git("commit", "-qm", "branch", cwd=origin)
    work = tree.root / "work"
    work.mkdir()
    done = subprocess.run(
        ["sh", "-ec", script], cwd=work, capture_output=True, text=True,
        env={**os.environ, "REPOSITORY": str(origin), "BASE": "main", "BRANCH": "stranger",
             "PATH": f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}"},
    )  # fmt: skip
    assert (done.returncode, done.stdout.count("error[GPU107]")) == (1, 2), done.stderr
    said = "the tree's own 1 suppression comment, 1 ignore file and 1 configuration had no say"
    assert said in done.stderr


# --- which configuration ------------------------------------------------------------------


def refused(tree: Tree, config: str, *paths: str) -> bool:
    status, found, told = tree.untrusted(*paths, config=config)
    if status == 1:
        assert "GPU107" in found
        return False
    assert (status, found) == (2, "")
    assert told.startswith(f"gpu-lint: --config {Path(config)}: lies in the tree that is checked (")
    assert len(told.splitlines()) == 1
    return True


def test_a_policy_from_the_tree_is_refused(tree: Tree) -> None:
    tree.add({"a.py": LATE, "sub/b.py": LATE, "ok.toml": POLICY, "deep/ok.toml": POLICY})
    for config in (
        "ok.toml",
        "./ok.toml",
        "../branch/ok.toml",
        "deep/../ok.toml",
        str(tree.branch / "ok.toml"),
    ):
        assert refused(tree, config)
    assert refused(tree, "deep/ok.toml", "sub")
    assert refused(tree, "ok.toml", "../base", "sub/b.py")
    assert not refused(tree, BASE)
    assert not refused(tree, str(tree.root / "base" / "gpu-lint.toml"), "sub/b.py")


@links
def test_a_policy_is_refused_where_a_link_leads_through_the_tree(tree: Tree) -> None:
    tree.add({"a.py": LATE, "ok.toml": POLICY})
    base = tree.root / "base"
    (tree.branch / "out.toml").symlink_to(base / "gpu-lint.toml")
    (tree.branch / "out").symlink_to(base)
    (base / "in.toml").symlink_to(tree.branch / "ok.toml")
    (base / "through.toml").symlink_to(tree.branch / "out.toml")
    (tree.root / "same").symlink_to(tree.branch)
    (tree.root / "fine.toml").symlink_to(base / "gpu-lint.toml")
    for config in (
        "out.toml",
        "out/gpu-lint.toml",
        "../base/in.toml",
        "../base/through.toml",
        "../same/ok.toml",
    ):
        assert refused(tree, config)
    assert refused(tree, "ok.toml", "../same")
    assert not refused(tree, "../fine.toml")


def test_a_branch_checked_out_below_the_base_is_another_tree(tree: Tree) -> None:
    tree.add({".git/HEAD": "", "gpu-lint.toml": POLICY, "other.toml": POLICY}, ".")
    tree.add({"a.py": LATE})
    assert not refused(tree, "../other.toml")
    assert refused(tree, "../other.toml", "..")


def test_a_policy_must_be_named(tree: Tree) -> None:
    tree.add({"a.py": LATE, "gpu-lint.toml": POLICY})
    for arguments in ((), ("--config", 'select = ["GPU1"]')):
        status, found, told = tree.run("check", "--untrusted", *arguments)
        assert (status, found) == (2, "")
        assert "needs --config FILE, from outside" in told
    assert tree.run("check", "--untrusted", "--isolated")[0] == 1


def test_only_check_is_for_trees_that_are_not_trusted(tree: Tree) -> None:
    for command in ("fix", "graph", "undo", "config"):
        done = CliRunner().invoke(main, [command, "--untrusted"])
        assert done.exit_code == 2
        assert "No such option" in done.output


# --- the cache ------------------------------------------------------------------------------


def test_no_cache_of_the_tree_is_written(tree: Tree) -> None:
    tree.add({"a.py": LATE})
    assert tree.untrusted()[0] == 1
    assert not (tree.branch / ".gpu-lint-cache").exists()
    assert tree.untrusted("--cache-dir", "../cache")[0] == 1
    assert (tree.root / "cache" / "CACHEDIR.TAG").exists()
    status, _, told = tree.untrusted("--cache-dir", "cache")
    assert status == 2
    assert "--cache-dir cache: lies in the tree" in told


def test_findings_kept_by_a_check_that_trusts_the_tree_are_not_taken_over(tree: Tree) -> None:
    tree.add(SILENCERS["a comment for the file"])
    cache = ("--cache-dir", "../cache")
    trusting = ("check", "--config", BASE, *cache)
    for _ in range(2):
        assert tree.run(*trusting)[0] == 0
        assert tree.untrusted(*cache)[1].count("GPU107") == 1
    # ... nor a cache of the tree itself, although this user has sealed it.
    assert tree.run("check", "--config", BASE)[0] == 0
    kept = {path: path.read_bytes() for path in (tree.branch / ".gpu-lint-cache").iterdir()}
    assert tree.untrusted()[1].count("GPU107") == 1
    assert kept == {path: path.read_bytes() for path in (tree.branch / ".gpu-lint-cache").iterdir()}


# --- the two options alone ------------------------------------------------------------------


def test_ignored_files_are_checked_and_fixed_where_that_is_asked_for(tree: Tree) -> None:
    tree.add(SILENCERS["an ignore file"])
    assert tree.run("check")[0] == 0
    assert tree.run("check", "--no-respect-gitignore")[1].count("GPU107") == 1
    tree.run("fix")
    assert (tree.branch / "a.py").read_text() == LATE
    tree.run("fix", "--no-respect-gitignore")
    assert (tree.branch / "a.py").read_text() != LATE


def test_suppressions_are_ignored_where_that_is_asked_for(tree: Tree) -> None:
    tree.add(SILENCERS["a comment on the line"])
    before = (tree.branch / "a.py").read_text()
    assert tree.run("check")[0] == 0
    status, found, _ = tree.run("check", "--ignore-suppressions")
    assert (status, found.count("GPU107"), found.count("GPU002")) == (1, 1, 0)
    assert tree.run("check")[0] == 0, "what the cache keeps is of the one or the other"
    tree.run("fix")
    assert (tree.branch / "a.py").read_text() == before
    tree.run("fix", "--ignore-suppressions")
    assert (tree.branch / "a.py").read_text() != before
    assert tree.run("check", "--ignore-suppressions")[0] == 0


# --- what Git tracks ------------------------------------------------------------------------


def repository(project: Project, version: int = 2, *options: str) -> Path:
    files = {f"dir{n}/{'x' * n}.py": "" for n in range(12)}
    long = "n" * 120
    name = "/".join([long] * 4 + ["é.py"]) if sys.platform == "linux" else f"{long}.py"
    root = project({**files, name: "", "build/a.py": LATE, "not.py": ""})
    git("init", "-q", *options, cwd=root)
    git("config", "index.version", str(version), cwd=root)
    git("config", "core.longpaths", "true", cwd=root)
    git("add", "dir*", "n*n*", "build", cwd=root)
    git("rm", "-q", "--cached", "--ignore-unmatch", "not.py", cwd=root)
    git("update-index", "--index-version", str(version), cwd=root)
    return root


def listed(root: Path) -> tuple[str, ...]:
    return tuple(sorted(name for name in git("ls-files", "-z", cwd=root).split("\0") if name))


@needs_git
@pytest.mark.parametrize("version", [2, 3, 4])
def test_the_index_is_read_as_git_reads_it(project: Project, version: int) -> None:
    root = repository(project, version)
    if version == 3:
        (root / "later.py").write_text("")
        git("add", "--intent-to-add", "later.py", cwd=root)
    assert (root / ".git" / "index").read_bytes()[7] == version
    assert len(listed(root)) > 12
    assert tracked_files(root) == listed(root)


@needs_git
def test_the_index_of_a_worktree_and_of_other_hashes_is_read(
    project: Project, tmp_path: Path
) -> None:
    root = repository(project)
    git("commit", "-qm", "x", cwd=root)
    git("worktree", "add", "-q", str(tmp_path / "there"), cwd=root)
    assert tracked_files(tmp_path / "there") == listed(root)
    other = tmp_path / "sha256"
    shutil.copytree(root, other, ignore=shutil.ignore_patterns(".git"))
    git("init", "-q", "--object-format=sha256", cwd=other)
    git("add", "dir3", "build", cwd=other)
    assert tracked_files(other) == listed(other) == ("build/a.py", "dir3/xxx.py")


@needs_git
@pytest.mark.parametrize("version", [2, 4])
def test_a_damaged_index_tracks_nothing_and_never_fails(project: Project, version: int) -> None:
    root = repository(project, version)
    index = root / ".git" / "index"
    data = index.read_bytes()
    for at in range(0, len(data), 7):
        index.write_bytes(data[:at])
        assert tracked_files(root) == ()
        body = bytearray(data[:-20])
        if at < len(body):
            body[at] ^= 0xFF
            index.write_bytes(bytes(body) + hashlib.sha1(body).digest())
            assert isinstance(tracked_files(root), tuple)
            index.write_bytes(bytes(body) + data[-20:])
            assert tracked_files(root) == ()


def test_an_index_whose_names_unfold_without_end_is_not_read(project: Project) -> None:
    root = project({".git/HEAD": ""})
    entry = bytes(60) + b"\0\0"
    names = entry + b"\0" + b"a" * 1_000_000 + b"\0" + (entry + b"\0a\0") * 5_000
    body = b"DIRC" + (4).to_bytes(4, "big") + (5_001).to_bytes(4, "big") + names
    (root / ".git" / "index").write_bytes(body + hashlib.sha1(body).digest())
    assert tracked_files(root) == ()
    few = body.replace((5_001).to_bytes(4, "big"), (2).to_bytes(4, "big"), 1)
    (root / ".git" / "index").write_bytes(few + hashlib.sha1(few).digest())
    assert [len(name) for name in tracked_files(root)] == [1_000_000, 1_000_001]


@links
def test_an_index_that_is_no_file_is_not_read(project: Project) -> None:
    root = project({"a.py": "", ".git/HEAD": ""})
    (root / ".git" / "index").symlink_to("/dev/zero")
    assert tracked_files(root) == ()
    (root / ".git" / "index").unlink()
    os.mkfifo(root / ".git" / "index")
    assert tracked_files(root) == ()
    shutil.rmtree(root / ".git")
    os.mkfifo(root / ".git")
    assert tracked_files(root) == ()


@needs_git
@pytest.mark.parametrize("name", BUILT)
def test_build_and_dist_are_read_where_git_tracks_files(
    project: Project, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    root = project({
        f"{name}/sub/a.py": LATE, f"{name}/made.py": LATE, f"{name}/lib/{name}/b.py": LATE,
        ".gitignore": f"{name}/\n", "sub/c.py": "x = 1\n",
    })  # fmt: skip
    monkeypatch.chdir(root)
    git("init", "-q", cwd=root)
    git("config", "core.fsmonitor", "touch ran; false", cwd=root)

    def found(*arguments: str) -> tuple[list[str], str]:
        done = CliRunner().invoke(
            main, ["check", "--no-cache", "--output-format", "concise", *arguments]
        )
        return [line.partition(":")[0] for line in done.stdout.splitlines()], done.stderr

    assert found() == ([], "All clear: 1 file checked.\n"), "Git ignores it"
    (root / ".gitignore").write_text("")
    said = f"gpu-lint: skipped {name}/: Git tracks no file there; name a directory to have it checked\n"
    assert found() == ([], said + "All clear: 1 file checked.\n")
    assert found("-q") == ([], "")
    assert len(found(name)[0]) == 2
    git("-c", "core.fsmonitor=", "add", "-f", f"{name}/sub/a.py", f"{name}/lib", cwd=root)
    (root / ".gitignore").write_text(f"{name}/\n")
    both = [f"{name}/lib/{name}/b.py", f"{name}/sub/a.py"]
    assert found()[0] == found(".")[0] == both
    assert "skipped" not in found()[1]
    assert found("--force-exclude", both[1], f"{name}/made.py")[0] == both[1:]
    assert found("--config", f'exclude = ["{name}/lib/"]')[0] == both[1:]
    assert not (root / "ran").exists(), "Git, and what its configuration names, is not run"


def test_many_skipped_directories_are_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project({f"p{n}/build/x.py": "" for n in range(5)} | {"a.py": "x = 1\n"}))
    done = CliRunner().invoke(main, ["check", "--no-cache"])
    assert "skipped p0/build/, p1/build/ and 3 more: " in done.stderr
    assert done.exit_code == 0


@needs_git
@pytest.mark.parametrize("version", [2, 4])
@pytest.mark.parametrize("many", [False, True])
def test_tracked_files_that_an_ignore_file_names_are_counted_in_one_line(
    project: Project, monkeypatch: pytest.MonkeyPatch, version: int, many: bool
) -> None:
    tracked = {
        "made/a.py": "", "made/deep/b.py": "", "made/data.json": "", "made/venv/c.py": "",
        "sub/x.gen.py": "", "sub/left/out.py": "", "ok.py": "x = 1\n",
    }  # fmt: skip
    rest = {f"made{n}/{n}.py": "" for n in range(30)} if many else {}
    root = project({**tracked, **rest, "made/new.py": "", "sub/y.gen.py": ""})
    monkeypatch.chdir(root)
    git("init", "-q", cwd=root)
    git("config", "index.version", str(version), cwd=root)
    git("add", *tracked, cwd=root)
    git("update-index", "--index-version", str(version), cwd=root)
    (root / ".gitignore").write_text("made*/\n*.gen.py\nleft/\n")

    def told(*arguments: str) -> str:
        done = CliRunner().invoke(main, ["check", "--no-cache", *arguments])
        assert done.exit_code == 0
        return done.stderr.replace("All clear", "")

    line = "skipped 4 files that Git tracks but an ignore file names (such as made/a.py)"
    assert told().count("\n") == 2
    assert line in told()
    assert "(sub/left/out.py)" in told("--config", 'exclude = ["made", "*.gen.py"]')
    assert "skipped 2 files" in told("sub")
    for quiet in (
        ["-q"],
        ["--no-respect-gitignore"],
        ["--config", 'exclude = ["made", "sub"]'],
        ["ok.py"],
    ):
        assert "skipped" not in told(*quiet)
    git("rm", "-q", "--cached", "-r", "made", "sub", cwd=root)
    assert "skipped" not in told()


@needs_git
@pytest.mark.parametrize("version", [2, 3, 4])
def test_what_git_may_track_errs_to_one_side(project: Project, version: int) -> None:
    root = repository(project, version)
    files = tracked_files(root)
    for name in (*files, *{file.rpartition("/")[0] for file in files if "/" in file}):
        assert may_track(root, ["nothing", name])
    assert may_track(root, ["dir", "y.py"]) is (version == 4)
    (root / ".git" / "index").write_bytes(b"")
    assert not may_track(root, files)
