"""What the bytes of a file show that gives a rank of the whole group as the index of a device."""

from __future__ import annotations

import re

RANK_PARTS = (b"rank", b"SLURM_PROCID")
"""Of these, part of a word is there."""
_ASKING = (b"get_rank(", b".rank(", b"SLURM_PROCID")
_RANK = (
    rb"(?:int\(\s*)?(?:(?:\w+\.)*get_rank\(|(?:hvd|horovod)\.rank\("
    rb"|os\.(?:environ(?:\.get)?|getenv)[\[(][\"']SLURM_PROCID)"
)
"""What asks for a number that counts the processes on all machines."""
_BOUND = re.compile(rb"^[ \t]*(?:\w+\.)*(\w+)[ \t]*(?::[^=\n]*)?=[ \t]*" + _RANK, re.M)
_GIVEN = (
    rb"(?:\bset_device\(|cuda:\{|cuda[\"'][ \t]*,|cuda:[\"'][ \t]*\+|\.cuda\(|\.to\(|\bdevice\("
    rb"|device_ids[ \t]*=[ \t]*\[|visible_device_list[ \t]*=)\s*(?:(?:str|int)\(\s*)?"
)
"""What gives a number as the index of a device."""
_GIVEN_AT_ONCE = re.compile(_GIVEN + _RANK)
_GIVEN_NAME = re.compile(_GIVEN + rb"(?:\w+\.)*(\w+)")


OWN_RANK = "local_rank"
"""The attribute of the arguments of a training that says which process this one is."""


def asks_training_for_rank(data: bytes) -> bool:
    """Whether a file asks the arguments of a training with transformers which process it is: the
    training takes that as the index of its device."""
    return b"TrainingArguments" in data and b"." + OWN_RANK.encode() in data


def gives_global_rank(data: bytes) -> bool:
    """Whether a file gives such a number as the index of a device: at once, or by its name."""
    if not any(asking in data for asking in _ASKING):
        return False
    if _GIVEN_AT_ONCE.search(data):
        return True
    bound = set(_BOUND.findall(data))
    return bool(bound) and not bound.isdisjoint(_GIVEN_NAME.findall(data))
