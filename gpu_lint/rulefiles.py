"""The form of the files in ``rules/`` and of a project's own rule packs: one description of it.

Validation and the JSON schemas for editors are made from :data:`FRAMEWORK_FILE`,
:data:`RULE_FILE` and :data:`VARIABLE_FILE`. What a key means for a run is told in
:mod:`gpu_lint.facts.knowledge`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from gpu_lint.closest import closest
from gpu_lint.errors import Problem
from gpu_lint.records import record

SCHEMA = 1
"""The version of the form. A file that needs another one says so in its key ``schema``."""

_NAME = r"[^\W\d]\w*"
_DOTTED = re.compile(rf"{_NAME}(?:\.{_NAME})*")
_CODE = re.compile(r"GPU\d{3}")


@record
class Field:
    """One key: what it holds and means.

    ``kind`` is ``text``, ``texts``, ``flag``, ``count`` (a whole number from 0), ``counts``,
    ``name`` (an identifier), ``dotted`` (names with dots), ``code``, ``files`` (paths to texts),
    ``tables`` (any tables by name), ``table`` or ``array`` (of tables); the last two have
    ``fields``.
    """

    name: str
    kind: str
    doc: str
    required: bool = False
    choices: tuple[str, ...] = ()
    fields: tuple[Field, ...] = ()


DEVICE = (
    Field(
        "kind",
        "text",
        "How the argument names devices.",
        True,
        (
            "index",
            "device",
            "indices",
            "devices",
            "ranges",
            "split",
            "map",
            "memory",
            "count",
            "providers",
            "mask",
        ),
    ),
    Field("position", "count", "Its position among the arguments, from 0, without self."),
    Field("keyword", "name", "Its keyword."),
    Field("key", "text", "The argument is a dict; this entry of it names the device."),
    Field(
        "after",
        "text",
        "It counts only when another argument is this text.",
    ),
    Field("variable", "text", "Where it is not given, this environment variable is read."),
)
API = (
    Field("names", "dotted", "Dotted names of functions and classes, or names of methods.", True),
    Field("method", "flag", "The names are those of methods, of whatever object."),
    Field("attribute", "flag", "The names are those of attributes that are assigned a device."),
    Field("devices", "array", "Which arguments name devices.", fields=DEVICE),
    Field(
        "numbering",
        "text",
        "Whether indices count the devices behind the mask, or those of the machine.",
        choices=("logical", "physical"),
    ),
    Field(
        "versions",
        "text",
        "How releases number devices differently, for messages. A physical number that the mask "
        "shows is then right, and no fix changes a number.",
    ),
    Field(
        "freezes",
        "text",
        "When the call makes CUDA read the mask for good.",
        choices=(
            "never",
            "maybe",
            "always",
            "on-gpu",
            "unless-cpu",
            "without-device",
            "on-enter",
        ),
    ),
    Field(
        "allocates",
        "text",
        "When the call allocates memory of a GPU.",
        choices=("never", "always", "on-gpu", "unless-cpu", "without-device"),
    ),
    Field(
        "counts",
        "text",
        "What the call does to torch.cuda.device_count().",
        choices=("asks", "checks", "probes"),
    ),
    Field(
        "unless",
        "table",
        "The call does not freeze where an environment variable has a value.",
        fields=(
            Field("variable", "text", "The variable.", True),
            Field("value", "text", "Its value.", True),
        ),
    ),
    Field(
        "returns",
        "text",
        "What the call returns.",
        choices=("device", "device-count", "gpus", "gpus-if-named", "index", "indices"),
    ),
    Field("evidence", "text", "What the row is known from: a measurement, or package and version."),
    Field("bad", "text", "A program with a fault that this row tells of, under the mask '1'."),
    Field("good", "text", "A program without one that calls the same."),
)
FRAMEWORK_FILE = (
    Field("schema", "count", f"The version of the form of this file: {SCHEMA}."),
    Field(
        "framework",
        "table",
        "A library that can reach a GPU.",
        True,
        fields=(
            Field("name", "text", "What it is called.", True),
            Field("modules", "dotted", "Importing one of these modules brings it in.", True),
            Field("pytorch", "flag", "It uses PyTorch, so the allocator's settings matter."),
            Field("import-freezes", "flag", "Importing it makes CUDA read the mask for good."),
            Field("uses-mask", "flag", "What it does depends on CUDA_VISIBLE_DEVICES (default)."),
            Field("reexports", "flag", "Its names may be imported from submodules too."),
            Field("submodules", "dotted", "Modules whose names are those of the package above."),
            Field("checked-against", "text", "The package and version whose signatures were read."),
            Field("evidence", "text", "What is known of importing it, and from where."),
        ),
    ),
    Field("api", "array", "Calls that name devices, freeze or count.", fields=API),
)
VARIABLE_FILE = (
    Field("schema", "count", f"The version of the form of this file: {SCHEMA}."),
    Field(
        "variable",
        "array",
        "Environment variables that decide about GPUs.",
        True,
        fields=(
            Field("name", "name", "Its name.", True),
            Field(
                "accepts",
                "text",
                "What it accepts.",
                True,
                ("container", "indices", "indices-or-uuids", "affinity", "choice", "fraction"),
            ),
            Field("choices", "texts", "What a choice accepts."),
            Field("ignores-case", "flag", "A choice may be written in any case."),
            Field("read-by", "text", "Who reads it, and when.", True),
            Field("otherwise", "text", "What comes of any other value.", True),
            Field("evidence", "text", "What that is known from: package and version.", True),
        ),
    ),
)
EXAMPLE = (
    Field("title", "text", "What the example shows.", True),
    Field("bad", "text", "A program that breaks the rule.", True),
    Field("good", "text", "One that does not."),
    Field("fixed", "text", "What a fix makes of the first, exactly."),
    Field("files", "files", "Other files of the project, by their paths."),
    Field("fixed-files", "files", "What a fix makes of those that it changes."),
    Field("lines", "counts", "The lines of the bad program that are reported."),
    Field("policy", "text", "The name of a policy of this file."),
)
RULE_FILE = (
    Field("schema", "count", f"The version of the form of this file: {SCHEMA}."),
    Field("policy", "tables", "Policies that examples may name."),
    Field(
        "rule",
        "array",
        "The rules of one family.",
        True,
        fields=(
            Field("code", "code", "Its code.", True),
            Field("name", "text", "Its name in words.", True),
            Field("severity", "text", "How bad it is.", True, ("error", "warning", "off")),
            Field("fix", "text", "Whether there is a fix, and how safe it is.", True),
            Field("since", "text", "The version that brought it.", True),
            Field("check", "text", "The check that finds it; several rules may share one.", True),
            Field("needles", "texts", "What a file must show for the rule to speak of it.", True),
            Field("needs-policy", "flag", "It says nothing without a policy."),
            Field("summary", "text", "One line.", True),
            Field("what", "text", "What it reports, and what it does not.", True),
            Field("why", "text", "Why that is bad.", True),
            Field("evidence", "text", "What that is known from.", True),
            Field("examples", "array", "Programs, run as tests.", True, fields=EXAMPLE),
        ),
    ),
)

ALLOCATOR_FILE = (
    Field("schema", "count", f"The version of the form of this file: {SCHEMA}."),
    Field("releases", "texts", "The releases of PyTorch that were measured, in order.", True),
    Field(
        "key",
        "array",
        "A key of PYTORCH_CUDA_ALLOC_CONF.",
        True,
        fields=(
            Field("name", "name", "What it is called.", True),
            Field("since", "text", "The first release of PyTorch that knows it.", True),
            Field("gone", "text", "The first release that does not know it any more."),
            Field(
                "accepts",
                "text",
                "What its value must be.",
                True,
                choices=(
                    "choice",
                    "number",
                    "fraction",
                    "share",
                    "power-of-two",
                    "divisions",
                    "list",
                    "text",
                ),
            ),
            Field("choices", "texts", "The values of a choice."),
            Field("least", "count", "The least number."),
            Field("most", "count", "The greatest number."),
            Field(
                "stricter",
                "table",
                "What older releases accept.",
                fields=(
                    Field("before", "text", "The first release that is not as strict.", True),
                    Field("least", "count", "The least number before that.", True),
                ),
            ),
            Field("lists-since", "text", "The first release that takes a list."),
        ),
    ),
)


def check_file(table: Mapping[str, Any], fields: tuple[Field, ...]) -> None:
    """Check the table of a whole file. Raises :class:`Problem` for the first key that is
    wrong."""
    if "schema" in table and table["schema"] != SCHEMA:
        said = table["schema"]
        raise Problem(("schema",), f"{said!r} is not known to this version; accepted: {SCHEMA}")
    _check_table(table, fields, ())


def check_pack(table: Mapping[str, Any]) -> None:
    """Check a rule pack of a project. Raises :class:`Problem`."""
    if "rule" in table:
        raise Problem(
            ("rule",), "a project's rule pack describes its calls, in [framework] and [[api]]"
        )
    check_file(table, FRAMEWORK_FILE)
    for number, row in enumerate(table.get("api", ())):
        for name in row["names"]:
            if not row.get("method") and "." not in name:
                raise Problem(
                    ("api", number, "names"),
                    f"{name!r} lacks its module; write it as it is imported, such as "
                    f"'tools.gpu.{name}', or add method = true",
                )


def _check_table(
    table: Mapping[str, Any], fields: tuple[Field, ...], at: tuple[str | int, ...]
) -> None:
    known = {field.name: field for field in fields}
    for name, value in table.items():
        if name not in known:
            close = closest(name, known)
            hint = f"did you mean {close[0]!r}?" if close else f"accepted: {', '.join(known)}"
            raise Problem((*at, name), f"unknown key; {hint}")
        _check_value(known[name], value, (*at, name))
    for field in fields:
        if field.required and field.name not in table:
            raise Problem(at or (field.name,), f"lacks the key {field.name!r}")


def _check_value(field: Field, value: Any, at: tuple[str | int, ...]) -> None:
    what, accepts = _KINDS[field.kind]
    if not accepts(value):
        raise Problem(at, f"must be {what}, not {value!r}"[:200])
    if field.choices and value not in field.choices:
        close = closest(value, field.choices)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        accepted = ", ".join(field.choices)
        raise Problem(at, f"{value!r} is not accepted; accepted: {accepted}{hint}")
    if field.kind == "table":
        _check_table(value, field.fields, at)
    elif field.kind == "array":
        for number, entry in enumerate(value):
            _check_table(entry, field.fields, (*at, number))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 1_000


def _all(kind: type, value: Any) -> bool:
    return isinstance(value, list) and all(type(item) is kind for item in value)


_KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "text": ("a string", lambda value: isinstance(value, str) and bool(value)),
    "texts": ("a list of strings", lambda value: _all(str, value)),
    "flag": ("true or false", lambda value: isinstance(value, bool)),
    "count": ("a whole number from 0", _is_count),
    "counts": ("a list of whole numbers", lambda value: _all(int, value)),
    "name": (
        "the name of an argument",
        lambda value: isinstance(value, str) and value.isidentifier() and value.isascii(),
    ),
    "dotted": (
        "a list of names such as 'package.module.name'",
        lambda value: _all(str, value) and bool(value) and all(map(_is_dotted, value)),
    ),
    "code": ("a code such as 'GPU101'", lambda v: isinstance(v, str) and bool(_CODE.fullmatch(v))),
    "files": (
        "a table of texts",
        lambda value: isinstance(value, dict) and _all(str, list(value.values())),
    ),
    "tables": (
        "a table of tables",
        lambda value: isinstance(value, dict) and _all(dict, list(value.values())),
    ),
    "table": ("a table", lambda value: isinstance(value, dict)),
    "array": ("an array of tables", lambda value: _all(dict, value)),
}


def _is_dotted(name: str) -> bool:
    return name.isascii() and _DOTTED.fullmatch(name) is not None


def json_schema(fields: tuple[Field, ...], title: str) -> dict[str, Any]:
    """The JSON schema of a file, for editors."""
    draft = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": draft, "title": title, **_schema_of_table(fields)}


SCHEMAS: dict[str, Callable[[], dict[str, Any]]] = {
    "framework": lambda: json_schema(FRAMEWORK_FILE, "gpu-lint framework file or rule pack"),
    "rule": lambda: json_schema(RULE_FILE, "gpu-lint rule file"),
    "variable": lambda: json_schema(VARIABLE_FILE, "gpu-lint variable file"),
    "allocator": lambda: json_schema(ALLOCATOR_FILE, "gpu-lint allocator file"),
}


def _schema_of_table(fields: tuple[Field, ...]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [field.name for field in fields if field.required],
        "properties": {field.name: _schema_of(field) for field in fields},
    }


def _schema_of(field: Field) -> dict[str, Any]:
    text: dict[str, Any] = {"type": "string", "minLength": 1}
    count: dict[str, Any] = {"type": "integer", "minimum": 0}
    shapes: dict[str, dict[str, Any]] = {
        "text": text,
        "texts": {"type": "array", "items": {"type": "string"}},
        "flag": {"type": "boolean"},
        "count": count,
        "counts": {"type": "array", "items": count},
        "name": {"type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$"},
        "dotted": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "string", "pattern": r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$"},
        },
        "code": {"type": "string", "pattern": "^GPU[0-9]{3}$"},
        "files": {"type": "object", "additionalProperties": {"type": "string"}},
        "tables": {"type": "object", "additionalProperties": {"type": "object"}},
    }
    if field.kind == "table":
        shape = _schema_of_table(field.fields)
    elif field.kind == "array":
        shape = {"type": "array", "items": _schema_of_table(field.fields)}
    else:
        shape = dict(shapes[field.kind])
    if field.name == "schema":
        shape = {"const": SCHEMA}
    if field.choices:
        shape = {"enum": list(field.choices)}
    return {"description": field.doc, **shape}
