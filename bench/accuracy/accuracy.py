"""How often gpu-lint is wrong: precision by rule, and recall, over code of other people.

    .bench/bin/python bench/accuracy/accuracy.py fetch            # the packages, about 3.5 GB
    .bench/bin/python bench/accuracy/accuracy.py check CHECKOUTS  # packages and repositories
    .bench/bin/python bench/accuracy/accuracy.py sample           # what is to be judged
    .bench/bin/python bench/accuracy/accuracy.py score            # the table

``packages.json`` pins releases on PyPI by version and digest; ``repositories.json`` names public
repositories by commit: CHECKOUTS is a directory with one checkout each, ``owner+name``. Both are
checked without a policy, with the rules that are off by default besides, each from its own
directory, as its owner would.

``verdicts.json`` holds what was judged, by hand, from the source around each finding: where it is
(package and version, or repository and commit), the rule, right or wrong, and why; no source.
``sample`` prints the findings that have no verdict yet: of each rule a seeded sample of 120, all
of them where there are fewer. ``recall.json`` holds the files that were read although nothing was
found in them, and what was missed. ``masks.json`` holds programs that deal with a mask, each read
before it was checked: every line at which something goes wrong, and whether that was found.
``score`` computes the tables from these, and needs nothing else: one of what was found when the
repositories with ``checked`` were checked (``first`` or ``again``), and one of what was before.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import random
import subprocess
import sys
import tarfile
import urllib.request
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).resolve().parent
WORK = Path(os.environ.get("GPU_LINT_BENCH", "/tmp/gpu-lint-bench")) / "accuracy"
MIRROR = "https://files.pythonhosted.org/"
SEED = 20261125
MOST_OF_A_RULE = 120
OFF = "GPU117,GPU205"
LATEST = "2026-11-30"
"""The day of the latest check; of other repositories and the packages the findings are older."""
SECONDS = 600


def read(name: str) -> list[dict[str, object]]:
    return json.loads((HERE / name).read_text("utf-8"))  # type: ignore[no-any-return]


def fetch() -> None:
    """Download the packages, and unpack their Python files."""
    with ThreadPoolExecutor(6) as executor:
        for line in executor.map(fetch_one, read("packages.json")):
            print(line, flush=True)


def fetch_one(pin: dict[str, object]) -> str:
    target = WORK / "packages" / f"{pin['name']}-{pin['version']}"
    if target.is_dir():
        return f"{target.name}: there already"
    url = str(pin["url"])
    data = urllib.request.urlopen(url if "://" in url else MIRROR + url, timeout=600).read()
    if hashlib.sha256(data).hexdigest() != pin["sha256"]:
        raise SystemExit(f"{target.name}: is not the file that was pinned")
    part = target.with_name(target.name + ".part")
    count = 0
    for name, content in members(url, data):
        path = part / name
        if name.endswith(".py") and part in path.resolve().parents:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            count += 1
    part.mkdir(parents=True, exist_ok=True)
    part.rename(target)
    return f"{target.name}: {count} files"


def members(url: str, data: bytes):  # type: ignore[no-untyped-def]
    if url.endswith((".whl", ".zip")):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield name, archive.read(name)
    else:
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                if member.isfile() and (file := archive.extractfile(member)):
                    yield member.name, file.read()


def check(checkouts: Path) -> None:
    """Check every package and repository; ``findings.json`` holds what was found."""
    found: list[dict[str, object]] = []
    trees = [
        (f"{p['name']} {p['version']}", WORK / "packages" / f"{p['name']}-{p['version']}")
        for p in read("packages.json")
    ]
    trees += [
        (source_of(r), checkouts / str(r["name"]).replace("/", "+"))
        for r in read("repositories.json")
    ]
    files = 0
    for source, tree in trees:
        files += sum(1 for _ in tree.rglob("*.py"))
        command = [sys.executable, "-m", "gpu_lint", "check", ".", "--isolated", "--no-cache"]
        command += ["--extend-select", OFF, "--output-format", "json"]
        try:
            done = subprocess.run(
                command, cwd=tree, capture_output=True, text=True, timeout=SECONDS
            )
        except subprocess.TimeoutExpired:
            print(f"{source}: did not end in {SECONDS} s", flush=True)
            continue
        if done.returncode not in (0, 1, 2) or "internal error" in done.stderr:
            print(f"{source}: failed\n{done.stderr[-2000:]}", flush=True)
        for one in json.loads(done.stdout or "[]"):
            path = os.path.relpath(os.path.join(tree, one["filename"]), tree)
            place = {"source": source, "path": Path(path).as_posix(), "code": one["code"]}
            found.append(
                {
                    **place,
                    "line": one["location"]["row"],
                    "severity": one["severity"],
                    "message": one["message"],
                }
            )
    print(f"{len(trees)} trees, {files} files, {len(found)} findings")
    WORK.mkdir(parents=True, exist_ok=True)
    (WORK / "findings.json").write_text(json.dumps(found, indent=1), "utf-8")


def source_of(repository: dict[str, object]) -> str:
    return f"{repository['name']}@{str(repository['commit'])[:12]}"


def key(one: dict[str, object]) -> tuple[object, ...]:
    return one["source"], one["path"], one["code"], one["line"]


def sample() -> None:
    """Print what is to be judged and is not."""
    found = json.loads((WORK / "findings.json").read_text("utf-8"))
    judged = set(map(key, read("verdicts.json")))
    for code in sorted({one["code"] for one in found}):
        of_rule = [one for one in found if one["code"] == code]
        chosen = random.Random(SEED).sample(of_rule, min(len(of_rule), MOST_OF_A_RULE))
        for one in chosen:
            if key(one) not in judged:
                print(f"{one['source']} {one['path']}:{one['line']} {code} {one['message'][:200]}")


def score() -> None:
    """Print the tables: of each rule how many were judged, and how many were right."""
    verdicts, masks = read("verdicts.json"), read("masks.json")
    print(f"{LATEST}:\n")
    table([one for one in verdicts if LATEST in (one.get("first"), one.get("again"))])
    print("\nBefore:\n")
    table([one for one in verdicts if "first" not in one])
    faults = [one for one in masks if one["fault"]]
    found = sum(bool(one["found"]) for one in faults)
    files = {(one["source"], one["path"]) for one in masks}
    print(
        f"\nPrograms with a mask: {len(files)} files read, {len(faults)} lines at which something "
        f"goes wrong; found {found} ({found / len(faults):.3f})."
    )
    files = read("recall.json")
    missed = [one for one in files if one["missed"]]
    print(
        f"\nRecall: {len(files)} files without a finding were read; something was missed in "
        f"{len(missed)} ({1 - len(missed) / len(files):.3f})."
    )


def table(verdicts: list[dict[str, object]]) -> None:
    """Print the table of some verdicts, syntax errors apart."""
    print("| rule | | judged | right | precision |\n|---|---|---|---|---|")
    for code in sorted({str(one["code"]) for one in verdicts}):
        for kind in ("error", "warning", "off"):
            row(code, kind, [one for one in verdicts if one["code"] == code])
    for kind in ("error", "warning", "off"):
        row("all but GPU001", kind, [one for one in verdicts if one["code"] != "GPU001"])


def row(name: str, kind: str, verdicts: list[dict[str, object]]) -> None:
    judged = [one for one in verdicts if one["severity"] == kind]
    right = sum(bool(one["right"]) for one in judged)
    if judged:
        share = right / len(judged)
        print(f"| {name} | {kind} | {len(judged)} | {right} | {share:.3f} |")


def main() -> None:
    commands = {"fetch": fetch, "sample": sample, "score": score}
    match sys.argv[1:]:
        case ["check", checkouts]:
            check(Path(checkouts).resolve())
        case [name] if name in commands:
            commands[name]()
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
