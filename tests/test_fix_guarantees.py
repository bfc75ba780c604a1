"""What a fix promises: only the reported bytes change, twice is once, formatters stay content."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gpu_lint.findings import Applicability
from gpu_lint.source import decode_source
from tests.conftest import VOICE_POLICY, check_text, codes, engine_for, fix_text

Project: TypeAlias = "Callable[[dict[str, str | bytes]], Path]"
ALL: dict[str, Any] = {
    **VOICE_POLICY,
    "validation": {**VOICE_POLICY["validation"], "required-in": "entry-points"},
}
HEADER = """\
# gpu-lint: begin header
os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"
# gpu-lint: end header
"""
SCATTERED = """\
#!/usr/bin/env python3
'''Doc.'''
import os
import torch
# why this card
os.environ['CUDA_VISIBLE_DEVICES'] = '0'  # the big one
print("\u00e9", torch.cuda.is_available())


if __name__ == '__main__':
    print(1)
"""


def encoded(text: str, form: str) -> bytes:
    """The same program in another outer form."""
    if form == "bom":
        return b"\xef\xbb\xbf" + text.encode()
    if form == "crlf":
        return text.replace("\n", "\r\n").encode()
    if form == "no final newline":
        return text.rstrip("\n").encode()
    if form == "latin-1":
        first, _, rest = text.partition("\n")
        return f"{first}\n# -*- coding: latin-1 -*-\n{rest}".encode("latin-1")
    if form == "tabs":
        return text.replace("    ", "\t").encode()
    if form == "form feed":
        return text.replace("import torch", "\fimport torch").encode()
    return text.encode()


FORMS = ("plain", "bom", "crlf", "no final newline", "latin-1", "tabs", "form feed")


@pytest.mark.parametrize("form", FORMS)
def test_outer_form_survives_byte_for_byte(form: str) -> None:
    data = encoded(SCATTERED, form)
    fixed = fix_text(data, ALL)
    after = fixed.after.source
    assert fixed.dropped == ()
    assert (after.encoding, after.bom) == (fixed.before.source.encoding, fixed.before.source.bom)
    assert after.data.endswith(b"\n") == data.endswith(b"\n")
    if form == "crlf":
        assert after.data.count(b"\n") == after.data.count(b"\r\n")
    newline = b"\r\n" if form == "crlf" else b"\n"
    for line in ("# why this card", "# the big one", 'print("\u00e9", torch.cuda.is_available())'):
        assert line.encode(after.encoding) in after.data
    assert b'"CUDA_VISIBLE_DEVICES"] = "1"  # the big one' + newline in after.data
    assert fix_text(after.data, ALL).after.source.data == after.data
    assert [f for f in fixed.after.findings if f.fix and f.fix.applicability] == []


@pytest.mark.parametrize("form", FORMS)
def test_only_bytes_inside_the_reported_edits_change(form: str) -> None:
    data = encoded(SCATTERED, form)
    before = check_text(data, ALL)
    for finding in before.findings:
        if finding.fix is None:
            continue
        result, position = b"", 0
        for edit in finding.fix.edits:
            result += data[position : edit.span.start] + edit.content.encode(before.source.encoding)
            position = edit.span.end
        result += data[position:]
        decode_source(Path("x.py"), result)
        assert "GPU001" not in dict(codes(check_text(result)))


def test_an_encoding_that_cannot_hold_the_fix_leaves_the_file_alone() -> None:
    data = b"# -*- coding: ascii -*-\nimport torch\n"
    policy = {**VOICE_POLICY, "gpu": {**VOICE_POLICY["gpu"], "alloc-conf": "max_split_size_mb:64"}}
    assert fix_text(data, policy).dropped == ()


SHAPES = {
    "nothing above": ("import torch\n", "import os\n\n" + HEADER + "\nimport torch\n"),
    "docstring": (
        '"""Doc."""\n\nimport torch\n',
        '"""Doc."""\n\nimport os\n\n' + HEADER + "\nimport torch\n",
    ),
    "docstring without a blank line": (
        '"""Doc."""\nimport torch\n',
        '"""Doc."""\n\nimport os\n\n' + HEADER + "\nimport torch\n",
    ),
    "future import": (
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport torch\n',
        '"""Doc."""\n\nfrom __future__ import annotations\n\nimport os\n\n'
        + HEADER
        + "\nimport torch\n",
    ),
    "cookie and licence": (
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Licence\n\nimport torch\n",
        "#!/usr/bin/env python\n# -*- coding: utf-8 -*-\n# Licence\n\nimport os\n\n"
        + HEADER
        + "\nimport torch\n",
    ),
    "which program runs it, then a plain import": (
        "#!/usr/bin/env python3\nfrom pathlib import Path\nimport torch\n",
        "#!/usr/bin/env python3\nimport os\nfrom pathlib import Path\n\n"
        + HEADER
        + "\nimport torch\n",
    ),
    "how it is encoded, then a plain import": (
        "# -*- coding: latin-1 -*-\n# why\nfrom os import environ\nimport torch\n",
        "# -*- coding: latin-1 -*-\n# why\nimport os\nfrom os import environ\n\n"
        + HEADER
        + "\nimport torch\n",
    ),
    "sorted into the standard library": (
        "import json\nimport sys\nfrom pathlib import Path\n\nimport torch\n",
        "import json\nimport os\nimport sys\nfrom pathlib import Path\n\n"
        + HEADER
        + "\nimport torch\n",
    ),
    "after the last plain import": (
        "import json\nfrom pathlib import Path\n\nimport torch\n",
        "import json\nimport os\nfrom pathlib import Path\n\n" + HEADER + "\nimport torch\n",
    ),
    "os under another name": (
        "import os as _os\n\nimport torch\n",
        "import os as _os\n\n" + HEADER.replace("os.environ", "_os.environ") + "\nimport torch\n",
    ),
    "only os.path": (
        "import os.path\n\nimport torch\n",
        "import os.path\n\n" + HEADER + "\nimport torch\n",
    ),
    "os imported too late": (
        "import torch\nimport os\n\nprint(os.getcwd())\n",
        "import os\n\n" + HEADER + "\nimport torch\n\nprint(os.getcwd())\n",
    ),
    "a comment of the import stays with it": (
        "import os\n\n# the framework\nimport torch\n",
        "import os\n\n" + HEADER + "\n# the framework\nimport torch\n",
    ),
    "import in try": (
        "import os\n\ntry:\n    import torch\nexcept ImportError:\n    torch = None\n",
        "import os\n\n"
        + HEADER
        + "\ntry:\n    import torch\nexcept ImportError:\n    torch = None\n",
    ),
    "no import from outside": (
        "import os\n\n\ndef f():\n    import torch\n",
        "import os\n\n" + HEADER + "\n\ndef f():\n    import torch\n",
    ),
    "a decorated function first": (
        "@staticmethod\ndef f():\n    pass\n",
        "import os\n\n" + HEADER + "\n\n@staticmethod\ndef f():\n    pass\n",
    ),
    "only a docstring": ('"""Doc."""\n', '"""Doc."""\n\nimport os\n\n' + HEADER),
    "empty": ("", "import os\n\n" + HEADER),
    "gathered, comments kept": (
        "import os\n\nimport torch\n\n# two\n# lines\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'  # tail\n"
        "os.environ.update({\n    # inner\n    'CUDA_DEVICE_ORDER': 'PCI_BUS_ID',\n})\n\nx = 1\n",
        "import os\n\n# two\n# lines\n# inner\n"
        + HEADER.replace('"1"\n', '"1"  # tail\n')
        + "\nimport torch\n\nx = 1\n",
    ),
    "chained": (
        "import os\nimport torch\nos.environ['CUDA_VISIBLE_DEVICES'] = os.environ['CUDA_DEVICE_ORDER'] = '1'\n",
        "import os\n\n" + HEADER + "\nimport torch\n",
    ),
    "a late block of ours moves back": (
        "import os\n\nimport torch\n\n" + HEADER + "\nx = 1\n",
        "import os\n\n" + HEADER + "\nimport torch\n\nx = 1\n",
    ),
    "a wrong value in our block": (
        "import os\n\n" + HEADER.replace('"1"', '"0"') + "\nimport torch\n",
        "import os\n\n" + HEADER + "\nimport torch\n",
    ),
}


@pytest.mark.parametrize(("before", "after"), SHAPES.values(), ids=SHAPES.keys())
def test_header_stands_in_its_one_right_place(before: str, after: str) -> None:
    fixed = fix_text(before, VOICE_POLICY)
    if "torch" not in before:
        after = after.replace(
            'os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"\n', ""
        )
    assert fixed.after.source.text == after
    assert fix_text(after, VOICE_POLICY).after.source.text == after


def test_code_that_shares_a_line_is_left_alone_and_the_finding_stays() -> None:
    text = "import os\nimport torch\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'; x = 1\n"
    fixed = fix_text(text, VOICE_POLICY)
    assert fixed.after.source.text == text
    assert fixed.after.findings


def test_a_dynamic_mask_is_not_overwritten_without_asking() -> None:
    text = "import os\nimport sys\n\nos.environ['CUDA_VISIBLE_DEVICES'] = sys.argv[1]\n\nimport torch\n"
    fixed = fix_text(text, VOICE_POLICY)
    assert "= sys.argv[1]" in fixed.after.source.text
    assert "GPU102" in dict(codes(fixed.after))


def test_a_statement_is_not_moved_above_the_names_it_needs() -> None:
    text = "import torch\nimport os\n\nCARD = '2'\nos.environ['CUDA_VISIBLE_DEVICES'] = CARD\n"
    fixed = fix_text(text, None)
    assert fixed.after.source.text == text
    assert codes(fixed.after) == [("GPU108", 5)]


def test_unsafe_fixes_are_made_only_when_asked_for() -> None:
    mask = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'
    idle = f"import os\n\nimport torch\n\n\ndef pick():\n    {mask}\n"
    assert fix_text(idle).after.source.text == idle
    assert fix_text(idle, unsafe=True).after.source.text == idle.replace(
        "import torch", f"{mask}\n\nimport torch"
    )
    many = (
        f"import os\n\n{mask}\n\nimport torch\n\nm = torch.nn.DataParallel(x, device_ids=[0, 1])\n"
    )
    assert fix_text(many).after.source.text == many
    assert fix_text(many, unsafe=True).after.source.text == many.replace("[0, 1]", "[0]")


def test_a_misspelt_keyword_is_reported_and_its_value_left_alone() -> None:
    text = 'import os\n\nos.environ.update(CUDA_VISIBLE_DEVICE="1")\n'
    fixed = fix_text(text, unsafe=True)
    assert fixed.after.source.text == text
    assert codes(fixed.after) == [("GPU114", 3)]


def test_one_line_main_guard_is_opened_for_the_call() -> None:
    text = "import torch\n\n\ndef main(): pass\n\n\nif __name__ == '__main__': main()\n"
    fixed = fix_text(text, ALL).after.source.text
    assert fixed.endswith(
        "if __name__ == '__main__':\n    validate_rtx3090_mandatory()\n    main()\n"
    )


def test_validator_without_torch_asks_the_driver_by_physical_index_or_uuid() -> None:
    text = 'import cupy\n\nif __name__ == "__main__":\n    print(cupy)\n'
    uuid = "GPU-8d1f4a52-3c0b-4f6e-9a7d-2b5c6e7f8091"
    for mask, key in (("1", "index"), (uuid, "uuid")):
        policy = {**ALL, "gpu": {**ALL["gpu"], "visible-devices": mask}}
        fixed = fix_text(text, policy).after.source.text
        assert f'"--query-gpu={key},memory.total,name"' in fixed
        assert f'    device = "{mask}"\n' in fixed


def test_validator_with_torch_compares_the_uuid_where_the_policy_names_one() -> None:
    text = 'import torch\n\nif __name__ == "__main__":\n    print(torch)\n'
    uuid = "8d1f4a52-3c0b-4f6e-9a7d-2b5c6e7f8091"
    for mask, expected in ((f"GPU-{uuid}", True), ("GPU-8d1f4a52", False), ("1", False)):
        policy = {**ALL, "gpu": {**ALL["gpu"], "visible-devices": mask}}
        fixed = fix_text(text, policy).after.source.text
        assert (f'uuid = "{uuid}"' in fixed) is expected


def test_projects_own_template_is_used_and_checked(project: Project) -> None:
    template = (
        "# Carte : $name\n"
        '$environ["CUDA_DEVICE_ORDER"] = $device_order\n'
        '$environ["CUDA_VISIBLE_DEVICES"] = $visible_devices\n'
        'print("GPU", $visible_devices)\n'
    )
    root = project({"a.py": "import numpy\n", "lint/header.txt": template})
    base = '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\nname = "RTX 3090"\n[header]\nrequired-in = "all"\n'
    (root / "gpu-lint.toml").write_text(base + 'template = "lint/header.txt"\n', "utf-8")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "gpu_lint", *arguments]
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)

    assert run("fix").returncode == 0
    text = (root / "a.py").read_text("utf-8")
    assert '# Carte : "RTX 3090"' in text
    assert 'print("GPU", "1")' in text
    assert run("check").returncode == 0
    no_python = template.replace("print(", "print((")
    for content, word in (
        ("$nope\n", "$nope"),
        ("x = 1\n", "does not set"),
        (no_python, "header.txt is no Python: '(' was never closed"),
        ("x = (\n" * 3_000 + template, "header.txt is no Python: cannot be checked: line 201"),
    ):
        (root / "lint" / "header.txt").write_text(content, "utf-8")
        done = run("check")
        assert (done.returncode, word in done.stderr) == (2, True)
    (root / "gpu-lint.toml").write_text(base + 'template = "../x.txt"\n', "utf-8")
    assert "outside the project" in run("check").stderr


# --- formatters --------------------------------------------------------------------------

STABLE = {
    "sorted imports and a guard": '"""Doc."""\n\nimport json\nimport sys\n\nimport numpy as np\nimport torch\n\n\ndef main():\n    print(json, sys, np, torch)\n\n\nif __name__ == "__main__":\n    main()\n',
    "a guard and nothing else": 'if __name__ == "__main__":\n    print(1)\n',
    "a function first": 'def f():\n    pass\n\n\nif __name__ == "__main__":\n    f()\n',
    "a decorated function below a comment": "# Licence\n\n\n# why\n@staticmethod\ndef f():\n    pass\n",
    "docstring and class": '"""Doc."""\n\n\nclass A:\n    pass\n',
    "only third party": "import torch\n\nprint(torch)\n",
    "comment above import": "# Licence\n\n# framework\nimport torch\n\nprint(torch)\n",
    "class after imports": "import os\n\nimport torch\n\n\nclass A:\n    x = torch, os\n",
    "no imports": 'X = 1\n\n\ndef f():\n    return X\n\n\nif __name__ == "__main__":\n    f()\n',
    "from imports only": "from pathlib import Path\n\nfrom torch import nn\n\nprint(Path, nn)\n",
    "future": '"""Doc."""\n\nfrom __future__ import annotations\n\nimport torch\n\nprint(torch)\n',
    "weak validator": 'import torch\n\n\ndef validate_rtx3090_x():\n    """Doc."""\n    if not torch.cuda.is_available():\n        raise RuntimeError\n\n\nif __name__ == "__main__":\n    validate_rtx3090_x()\n',
    "guard with a comment": 'import torch\n\nprint(torch)\n\n# run\nif __name__ == "__main__":\n    # first\n    print(1)\n',
    "late mask": 'import os\n\nimport torch\n\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n\n\ndef f():\n    return torch\n',
}
FORMATTERS = (
    ("black", "-q", "--check"),
    ("ruff", "format", "-q", "--check", "--isolated"),
    ("isort", "-q", "--check-only", "--profile", "black", "--settings-path", os.devnull),
)


@pytest.mark.parametrize("text", STABLE.values(), ids=STABLE.keys())
@pytest.mark.parametrize("policy", [ALL, None], ids=["policy", "no policy"])
def test_formatters_leave_the_result_alone(
    project: Project, text: str, policy: dict[str, Any] | None
) -> None:
    fixed = fix_text(text, policy).after.source.text
    root = project({"before.py": text, "after.py": fixed})
    for formatter in FORMATTERS:
        for name in ("before.py", "after.py"):
            command = [sys.executable, "-m", *formatter, name]
            done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (formatter[0], name, fixed, done.stderr)


# --- programs at random ------------------------------------------------------------------

LINES = st.sampled_from(
    [
        "import os",
        "import sys, os",
        "import torch",
        "import torch as th",
        "from os import environ",
        "import numpy as np  # numbers",
        "# a comment",
        "",
        "    ",
        "x = 'cuda:1'",
        "os.environ['CUDA_VISIBLE_DEVICES'] = '1'",
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'  # old",
        "os.environ['CUDA_VISIBLE_DEVICE'] = '1'",
        "os.environ.setdefault('CUDA_DEVICE_ORDER', 'PCI_BUS_ID')",
        "os.environ.update({'CUDA_VISIBLE_DEVICES': '1',\n    # inside\n    'CUDA_DEVICE_ORDER': 'x'})",
        "os.putenv('CUDA_VISIBLE_DEVICES', '1')",
        "torch.cuda.is_available()",
        "t = torch.zeros(1, device='cuda:1'); u = 2",
        "if torch.cuda.device_count() > 1: torch.cuda.set_device(1)",
        "try:\n    import torch\nexcept ImportError:\n    torch = None",
        "def f(a, device='cuda:1'):\n    '''Doc \u00e9 \U0001f3ae'''\n    os.environ['CUDA_VISIBLE_DEVICES'] = '2'\n    return a.to(device)",
        "class C:\n    def __init__(self): self.d = 1\n    def go(self, m): m.cuda(self.d)",
        "s = '''\nos.environ['CUDA_VISIBLE_DEVICES'] = '9'\n'''",
        "if __name__ == '__main__':\n    f(1)",
        "if __name__ == '__main__': print(1)",
        "x = (1 +\n     2)",
        "a = \\\n  1",
        HEADER.rstrip("\n"),
        "# gpu-lint: begin header",
    ]
)


@settings(max_examples=300, deadline=None)
@example(
    lines=["# gpu-lint: begin header", "t = torch.zeros(1, device='cuda:1'); u = 2"],
    newline="\n",
    bom=False,
    final=False,
    policy=ALL,
    unsafe=True,
)
@example(
    lines=["# gpu-lint: begin header"],
    newline="\r",
    bom=False,
    final=True,
    policy=ALL,
    unsafe=False,
)
@given(
    lines=st.lists(LINES, max_size=12),
    newline=st.sampled_from(["\n", "\r\n", "\r"]),
    bom=st.booleans(),
    final=st.booleans(),
    policy=st.sampled_from([None, VOICE_POLICY, ALL]),
    unsafe=st.booleans(),
)
def test_fix_twice_is_fix_once_and_touches_nothing_else(
    lines: list[str],
    newline: str,
    bom: bool,
    final: bool,
    policy: dict[str, Any] | None,
    unsafe: bool,
) -> None:
    text = newline.join("\n".join(lines).split("\n")) + (newline if final else "")
    data = (b"\xef\xbb\xbf" if bom else b"") + text.encode()
    engine = engine_for(policy)
    fixed = engine.fix_source(decode_source(Path("x.py"), data), unsafe=unsafe)
    after = fixed.after.source
    assert after.bom == (3 if bom else 0)
    again = engine.fix_source(after, unsafe=unsafe)
    assert again.after.source.data == after.data
    if not fixed.dropped:
        least = Applicability.UNSAFE if unsafe else Applicability.SAFE
        assert not [f for f in fixed.after.findings if f.fix and f.fix.applicability >= least]
    if "GPU001" not in dict(codes(fixed.before)):
        assert "GPU001" not in dict(codes(fixed.after))
