"""What LibCST makes of the statements that are cut out: nodes change, and nothing beside them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import libcst as cst
import pytest

from gpu_lint.facts.tree import parse_expression
from gpu_lint.rulebook import load_rulebook
from gpu_lint.source import Span, decode_source
from tests.agreement import disagreement
from tests.conftest import VOICE_POLICY, codes, fix_files, fix_text

KNOWLEDGE = load_rulebook().knowledge
ALL: dict[str, Any] = {
    **VOICE_POLICY,
    "validation": {**VOICE_POLICY["validation"], "required-in": "entry-points"},
}
MASKED = 'import os\n\nos.environ["CUDA_VISIBLE_DEVICES"] = "1"\n\nimport torch\n\n'
HEADER = """\
# gpu-lint: begin header
os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
os.environ["CUDA_VISIBLE_DEVICES"] = "1"
os.environ["PYTORCH_CUDA_ALLOC_CONF"] = "max_split_size_mb:1024"
# gpu-lint: end header
"""

INDICES = [
    # the literal
    ("torch.cuda.set_device(1)", "torch.cuda.set_device(0)"),
    ("torch.cuda.set_device(0x1)", "torch.cuda.set_device(0)"),
    ("torch.cuda.set_device(0b1)", "torch.cuda.set_device(0)"),
    ("torch.cuda.set_device(1_0)", "torch.cuda.set_device(0)"),
    ("x.to('cuda:1')", "x.to('cuda:0')"),
    ('x.to("""cuda:1""")', 'x.to("""cuda:0""")'),
    ("x.to(r'cuda:1')", "x.to(r'cuda:0')"),
    ('x.to("cuda" ":1")', 'x.to("cuda" ":0")'),
    ('x.to("cuda:"  # which\n     "1")', 'x.to("cuda:"  # which\n     "0")'),
    ('x.to("cuda\\x3a1")', 'x.to("cuda:0")'),
    ('x.to(f"cuda:{1}")', 'x.to(f"cuda:{0}")'),
    ('x.to(f"cuda:{0x1}")', 'x.to(f"cuda:{0}")'),
    ('x.to(f"cuda:1")', 'x.to(f"cuda:0")'),
    # the statement
    ("a = 'é'; x.to('cuda:1'); b = 'é'", "a = 'é'; x.to('cuda:0'); b = 'é'"),
    ("x.to(1);x.to(0x1)", "x.to(0);x.to(0)"),
    ("x = x.to(\n    0x1,  # é\n)", "x = x.to(\n    0,  # é\n)"),
    ("x = 1 + \\\n  x.to(0x1)", "x = 1 + \\\n  x.to(0)"),
    ("f = lambda: x.to(0x1)\nf()", "f = lambda: x.to(0)\nf()"),
    ("assert x.to(0x1), 'é'", "assert x.to(0), 'é'"),
    # the head of a compound one
    ("if x.to(0x1): pass", "if x.to(0): pass"),
    ("if (\n    x.to('cuda:1')  # é\n): pass", "if (\n    x.to('cuda:0')  # é\n): pass"),
    ("if x: pass\nelif x.to(0x1): pass", "if x: pass\nelif x.to(0): pass"),
    ("while x.to(0x1): break", "while x.to(0): break"),
    ("for _ in x.to(0x1): pass", "for _ in x.to(0): pass"),
    ("with torch.cuda.device(1_0), a: pass", "with torch.cuda.device(0), a: pass"),
    ("match x.to(0x1):\n    case _: pass", "match x.to(0):\n    case _: pass"),
    ("@f(x.to(0x1))\ndef g(): pass", "@f(x.to(0))\ndef g(): pass"),
    ("def f(d='cuda:1'):\n    x.to(d)\nf()", "def f(d='cuda:0'):\n    x.to(d)\nf()"),
    ("class A(f(x.to(0x1))): pass", "class A(f(x.to(0))): pass"),
    # several devices
    ("m = torch.nn.DataParallel(m, [0, 1])", "m = torch.nn.DataParallel(m, [0])"),
    ("m = torch.nn.DataParallel(m, [0x0,\n 1])", "m = torch.nn.DataParallel(m, [0])"),
]


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(("before", "after"), INDICES)
def test_an_index_is_changed_however_it_is_written(before: str, after: str, newline: str) -> None:
    start = f"{MASKED}x = torch.zeros(1)\n"
    data = f"{start}{before}\n".replace("\n", newline).encode()
    fixed = fix_text(data, unsafe=True).after.source.data
    assert fixed.decode() == f"{start}{after}\n".replace("\n", newline)


def test_places_are_right_in_another_encoding() -> None:
    text = f"# coding: latin-1\n{MASKED}a = 'é'; x = f(a, 'éé').to('cuda:1')  # é\n"
    fixed = fix_text(text.encode("latin-1")).after.source.data.decode("latin-1")
    assert fixed == text.replace("cuda:1", "cuda:0")


@pytest.mark.parametrize(
    "statement",
    [
        "m = torch.nn.DataParallel(m, [0,  # a\n 1])",
        "y = f'{x!r :>3}', torch.zeros(1, device=1)",  # LibCST forgets the blank
    ],
)
def test_what_cannot_be_given_back_as_it_is_is_left_alone(statement: str) -> None:
    fixed = fix_text(f"{MASKED}{statement}\n", unsafe=True)
    assert fixed.after.source.text == f"{MASKED}{statement}\n"
    assert len(fixed.after.findings) == 1


VALUES = [
    ('os.environ["CUDA_VISIBLE_DEVICES"] = 0x1', 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'),
    ('os.environ["CUDA_VISIBLE_DEVICES"] = 1_0', 'os.environ["CUDA_VISIBLE_DEVICES"] = "10"'),
    ("os.environ['CUDA_DEVICE_ORDER'] = 'pci_bus_id'", "os.environ['CUDA_DEVICE_ORDER'] = 'PCI_BUS_ID'"),
    ('os.environ["CUDA_DEVICE_ORDER"] = """pci_bus_id"""', 'os.environ["CUDA_DEVICE_ORDER"] = """PCI_BUS_ID"""'),
    ("os.environ['CUDA_DEVICE_ORDER'] = r'pci_bus_id'", "os.environ['CUDA_DEVICE_ORDER'] = r'PCI_BUS_ID'"),
    ('os.environ["""CUDA_VISIBLE_DEVICE"""] = "1"', 'os.environ["""CUDA_VISIBLE_DEVICES"""] = "1"'),
    ('os.putenv("CUDA_VISIBLE_DEVICES", "1")', 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"'),
    ('if x: os.putenv("CUDA_VISIBLE_DEVICES", "1"); y = 1', 'if x: os.environ["CUDA_VISIBLE_DEVICES"] = "1"; y = 1'),
]  # fmt: skip


@pytest.mark.parametrize(("before", "after"), VALUES)
def test_a_value_is_changed_in_the_quotes_that_it_has(before: str, after: str) -> None:
    assert fix_text(f"import os\n{before}\n").after.source.text == f"import os\n{after}\n"


def test_a_value_in_a_function_is_changed_to_the_policys() -> None:
    def text(value: str) -> str:
        return f'import os\n\n{HEADER}\n\ndef f():\n    os.environ["CUDA_VISIBLE_DEVICES"] = {value}\n    import torch\n\n\nf()\n'

    for old, new in (('"""0"""', '"""1"""'), ("'0'", "'1'"), ('"0" "2"', '"1"'), ("0x0", '"1"')):
        assert fix_text(text(old), VOICE_POLICY, unsafe=True).after.source.text == text(new)


# --- the comments of what is gathered --------------------------------------------------------

GATHERED = {
    "behind, above and inside": (
        "# why\n# so\nos.environ['CUDA_VISIBLE_DEVICES'] = (\n    '0'  # inside\n)  # behind\n",
        ["# why", "# so", "# inside"],
        {"CUDA_VISIBLE_DEVICES": "# behind"},
    ),
    "of one variable that is written twice": (
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'  # one\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'  # two\n",
        ["# one"],
        {"CUDA_VISIBLE_DEVICES": "# two"},
    ),
    "the same twice": (
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'  # one\nos.environ['CUDA_VISIBLE_DEVICES'] = '1'  # one\n",
        [],
        {"CUDA_VISIBLE_DEVICES": "# one"},
    ),
    "of a misspelt variable": (
        "os.environ['CUDA_VISIBLE_DEVICES'] = '1'\nos.environ['PYTORCH_ALLOC_CONF'] = 'backend:native'  # why\n",
        [],
        {"PYTORCH_CUDA_ALLOC_CONF": "# why"},
    ),
    "of other forms": (
        "os.environ.setdefault('CUDA_DEVICE_ORDER', 'PCI_BUS_ID')  # one\nos.putenv('CUDA_VISIBLE_DEVICES', '1')  # two\n",
        [],
        {"CUDA_DEVICE_ORDER": "# one", "CUDA_VISIBLE_DEVICES": "# two"},
    ),
    "of several variables": (
        "os.environ.update({'CUDA_VISIBLE_DEVICES': '1', 'CUDA_DEVICE_ORDER': 'PCI_BUS_ID'})  # both\n",
        ["# both"],
        {},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("settings", "above", "behind"), GATHERED.values(), ids=GATHERED.keys())
def test_no_comment_is_lost(settings: str, above: list[str], behind: dict[str, str]) -> None:
    lines = "".join(f"{line}\n" for line in above) + HEADER
    for variable, comment in behind.items():
        start = lines.index(f'["{variable}"]')
        end = lines.index("\n", start)
        lines = f"{lines[:end]}  {comment}{lines[end:]}"
    fixed = fix_text(f"import os\nimport torch\n{settings}x = 1\n", VOICE_POLICY)
    assert fixed.after.source.text == f"import os\n\n{lines}\nimport torch\nx = 1\n"


def test_a_block_keeps_its_comments_and_gets_what_it_needs() -> None:
    """No import of ``os`` is left above the block."""
    old = HEADER.replace('"1"\n', '"0"  # mine\n').replace(
        "# gpu-lint: end", "# more\n# gpu-lint: end"
    )
    fixed = fix_text(f"{old}\nimport torch\n", VOICE_POLICY)
    expected = HEADER.replace('"1"\n', '"1"  # mine\n')
    assert fixed.after.source.text == f"import os\n\n# more\n{expected}\nimport torch\n"
    assert fixed.dropped == ()


GUARD = 'if __name__ == "__main__":\n    import torch\n'
CLASS = "class A:\n    pass\n"
PLACES = {
    "a comment that begins the file": (
        "# Text of the file\nimport re\n\nimport torch\n",
        f"# Text of the file\nimport os\nimport re\n\n{HEADER}\nimport torch\n",
    ),
    "a comment below the first lines": (
        "#!/usr/bin/env python\n# Text\nimport re\n\nimport torch\n",
        f"#!/usr/bin/env python\n# Text\nimport os\nimport re\n\n{HEADER}\nimport torch\n",
    ),
    "a comment of the import alone": (
        "# Text\n\n# about re\nimport re\n\nimport torch\n",
        f"# Text\n\nimport os\n# about re\nimport re\n\n{HEADER}\nimport torch\n",
    ),
    "a licence of two paragraphs": (
        "# Copyright (c) Us.\n# All rights reserved.\n\n# This code is licensed under MIT.\n"
        "from typing import Any\n\nimport torch\n",
        "# Copyright (c) Us.\n# All rights reserved.\n\n# This code is licensed under MIT.\n"
        f"import os\nfrom typing import Any\n\n{HEADER}\nimport torch\n",
    ),
    "a comment of a licence below code": (
        "import json\n# re has another licence\nimport re\n\nimport torch\n",
        f"import json\nimport os\n# re has another licence\nimport re\n\n{HEADER}\nimport torch\n",
    ),
    "the first import behind the guard": (
        f"import re\n\n\n{CLASS}\n\n{GUARD}",
        f"import os\nimport re\n\n{HEADER}\n\n{CLASS}\n\n{GUARD}",
    ),
    "behind imports from modules, which stand first": (
        "from abc import ABC\nfrom typing import Any\nimport json\nimport re\n\nimport torch\n",
        "from abc import ABC\nfrom typing import Any\nimport json\nimport os\nimport re\n\n"
        f"{HEADER}\nimport torch\n",
    ),
    "among imports from modules, by its name": (
        "from abc import ABC\nimport json\nfrom typing import Any\nimport uuid\n\nimport torch\n",
        "from abc import ABC\nimport json\nimport os\nfrom typing import Any\nimport uuid\n\n"
        f"{HEADER}\nimport torch\n",
    ),
    "nothing but a guard": (f"\n\n{GUARD}", f"import os\n\n{HEADER}\n\n{GUARD}"),
}


MASK_ROW = 'os.environ["CUDA_VISIBLE_DEVICES"] = "1"\n'
ORDER_ROW = 'os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"\n'
HEADINGS = {
    "of what is left": (f"# ---- init\n{MASK_ROW}net = 1\n", "# ---- init\nnet = 1\n"),
    "above two": (f"# init ===\n{ORDER_ROW}{MASK_ROW}net = 1\n", "# init ===\nnet = 1\n"),
    "with a reason": (f"# --- init\n# why\n{MASK_ROW}net = 1\n", "# --- init\nnet = 1\n"),
    "of the settings": (f"# ---- init\n{MASK_ROW}\nnet = 1\n", "net = 1\n"),
    "about the GPU": (f"# --- GPU ---\n{MASK_ROW}net = 1\n", "net = 1\n"),
    "a reason": (f"# why\n{MASK_ROW}net = 1\n", "net = 1\n"),
}


@pytest.mark.parametrize(("before", "after"), HEADINGS.values(), ids=HEADINGS.keys())
@pytest.mark.parametrize("policy", [VOICE_POLICY, None])
def test_a_heading_stays_with_what_it_heads(
    before: str, after: str, policy: dict[str, Any] | None
) -> None:
    fixed = fix_text(f"import os\n\nimport torch\n\n{before}", policy).after.source.text
    assert fixed.endswith(f"\nimport torch\n\n{after}")
    comments = [line for line in before.splitlines() if line.startswith("#")]
    assert all(fixed.splitlines().count(line) == 1 for line in comments)


FIRST_LINES = (
    "# type: ignore", "# ruff: noqa", "# flake8: noqa", "# pylint: disable=all", "# fmt: off",
    "# isort: skip_file", "# Copyright 2024\n# Licence\n\n# mypy: ignore-errors",
    "#!/usr/bin/env python\n# type: ignore",
)  # fmt: skip


@pytest.mark.parametrize("first", FIRST_LINES)
def test_what_tools_read_in_the_first_lines_stays_first(first: str) -> None:
    fixed = fix_text(f"{first}\nimport torch\n", VOICE_POLICY).after.source.text
    assert fixed == f"{first}\nimport os\n\n{HEADER}\nimport torch\n"


@pytest.mark.parametrize(("before", "after"), PLACES.values(), ids=PLACES.keys())
def test_where_a_header_stands(before: str, after: str) -> None:
    assert fix_text(before, VOICE_POLICY).after.source.text == after


def test_a_validator_stands_below_the_header_where_both_begin_a_file() -> None:
    fixed = fix_text(f"{GUARD}    torch.zeros(1).cuda()\n", ALL).after.source.text
    assert fixed.startswith(f"import os\n\n{HEADER}\n\n# gpu-lint: validator\ndef ")


def test_a_validator_is_indented_as_its_file_is() -> None:
    tabs = f"{GUARD}    torch.zeros(1).cuda()\n".replace("    ", "\t")
    fixed = fix_text(tabs, ALL)
    assert "\n    " not in fixed.after.source.text
    assert "\tif not torch.cuda.is_available():\n\t\traise" in fixed.after.source.text
    assert codes(fixed.after) == []


def test_the_comments_of_a_template_do_not_multiply(tmp_path: Path) -> None:
    from click.testing import CliRunner

    from gpu_lint.cli import main

    template = '# card $visible_devices\n$environ["CUDA_DEVICE_ORDER"] = $device_order  # as nvidia-smi\n$environ["CUDA_VISIBLE_DEVICES"] = $visible_devices\n'
    (tmp_path / "header.txt").write_text(template)
    config = tmp_path / "gpu-lint.toml"
    config.write_text(
        '[gpu]\nvisible-devices = "1"\ndevice-order = "PCI_BUS_ID"\n[header]\nrequired-in = "all"\ntemplate = "header.txt"\n'
    )
    file = tmp_path / "a.py"
    file.write_text("import torch\n")
    arguments = ["fix", "-q", "--no-cache", "--config", str(config), str(file)]
    CliRunner().invoke(main, arguments)
    written = file.read_text()
    assert written.count("# as nvidia-smi") == 1
    file.write_text(written.replace('= "1"', '= "0"  # mine'))
    CliRunner().invoke(main, arguments)
    assert file.read_text() == written.replace('= "1"', '= "1"  # mine')


# --- the validator ---------------------------------------------------------------------------

GUARDS = [
    ("if __name__ == '__main__': main()\n", "if __name__ == '__main__':\n    {}\n    main()\n"),
    ("if __name__ == '__main__':main(); f()\n", "if __name__ == '__main__':\n    {}\n    main(); f()\n"),
    ("if __name__ == '__main__':  # go\n\n  # first\n  main()\n", "if __name__ == '__main__':  # go\n  {}\n\n  # first\n  main()\n"),
    ("if (__name__\n    == '__main__'):\n\tmain()\n", "if (__name__\n    == '__main__'):\n\t{}\n\tmain()\n"),
    ("if __name__ == '__main__':\n    @f\n    def g(): pass\n    g()\n", "if __name__ == '__main__':\n    {}\n    @f\n    def g(): pass\n    g()\n"),
]  # fmt: skip


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize(("before", "after"), GUARDS)
def test_the_call_is_the_first_statement_of_the_guard(
    before: str, after: str, newline: str
) -> None:
    text = f"import torch\n\n\ndef main(): torch.zeros(1).cuda()\n\n\n{before}"
    fixed = fix_text(text.replace("\n", newline), ALL).after.source.data.decode()
    assert fixed.endswith(after.format("validate_rtx3090_mandatory()").replace("\n", newline))


DECLARED = {
    "global": ("def main():\n    global app\n", "    app = torch.zeros(1).cuda()\n"),
    "both": (
        'def main():\n    """Run."""\n    global app\n    global other\n',
        "    app = other = torch.zeros(1).cuda()\n",
    ),
    "not the first": (
        "def main():\n", "    x = 1\n    global app\n    app = torch.zeros(x).cuda()\n"),
}  # fmt: skip


@pytest.mark.parametrize(("above", "below"), DECLARED.values(), ids=DECLARED.keys())
def test_the_call_stands_behind_the_names_that_a_main_function_declares(
    above: str, below: str, tmp_path: Path
) -> None:
    text = f"import torch\n\n\n{above}{below}"
    script = '[project]\nname = "x"\n[project.scripts]\nx = "x:main"\n'
    (tmp_path / "pyproject.toml").write_text(script)
    fixed = fix_files(tmp_path, {"x.py": text}, ALL)["x.py"]
    assert f"{above}    validate_rtx3090_mandatory()\n{below}" in fixed


@pytest.mark.parametrize("indent", ["    ", "  ", "\t"])
def test_a_validator_is_completed_in_its_own_indentation(indent: str) -> None:
    text = (
        f'import os\n\n{HEADER}\nimport torch\n\n\ndef validate_rtx3090_x():\n{indent}"""Doc."""\n'
        f"{indent}if not torch.cuda.is_available():\n{indent}{indent}raise RuntimeError\n\n\n"
        f'if __name__ == "__main__":\n{indent}validate_rtx3090_x()\n'
    )
    fixed = fix_text(text, ALL).after
    raised = [line for line in fixed.source.text.split("\n") if "raise RuntimeError(" in line]
    assert len(raised) == 4
    assert all(line.startswith(f"{indent}{indent}raise") for line in raised)
    assert codes(fixed) == []


def test_calls_of_a_validator_get_its_new_name() -> None:
    mark = "# gpu-lint: validator\ndef validate_rtx3090_é(): pass\n\n\n"
    call = 'if __name__ == "__main__":\n    x = 1; validate_rtx3090_é(); y = 2\n'
    fixed = fix_text(f"import os\n\n{HEADER}\nimport torch\n\n\n{mark}{call}", ALL)
    assert fixed.after.source.text.endswith(
        'if __name__ == "__main__":\n    x = 1; validate_rtx3090_mandatory(); y = 2\n'
    )


# --- places ----------------------------------------------------------------------------------

ODD = [
    "try:\n    pass\nexcept (A, B) :\n    x.to('cuda:1')  # é\n",
    "try:\n    pass\nexcept* A : x.to('cuda:1')\n",
    "y = f'é{x!r :>3}' + g('cuda:1')  # c\nz = g(a for a in 'é')\n",
    "\ufeffx = ('é', f'{x!r :é}') ; y = 1\r\n",
    "x = 1\r# é\ry = f(1)\r",
    "x = [1,\r\n  2] # é",
    "",
]


@pytest.mark.parametrize("text", ODD)
def test_places_are_right_where_libcst_forgets_blanks(text: str) -> None:
    assert disagreement(decode_source(Path("a.py"), text.encode()), KNOWLEDGE) == ""
    if "\ufeff" not in text:
        data = f"# coding: latin-1\n{text}".encode("latin-1")
        assert disagreement(decode_source(Path("a.py"), data), KNOWLEDGE) == ""


def test_an_expression_has_the_places_that_it_has_in_its_file() -> None:
    source = decode_source(Path("a.py"), "é = f(\n 'é', (b))".encode())
    span = Span(5, len(source.data))
    tree = parse_expression(source, span)
    call = cst.ensure_type(tree.expression, cst.Call)
    assert tree.span(call) == span
    assert [source.slice(tree.span(one.value)) for one in call.args] == ["'é'", "b"]
