"""Kinds of values that more than one section of ``breakeven.yaml`` holds."""

import re
from typing import Annotated

from pydantic import AfterValidator, Field, WithJsonSchema

from breakeven.settings.address import checked_host
from breakeven.settings.secret import REFERENCE_PATTERN, check_reference
from breakeven.sources.written import IsNumber

_DIGEST = r"^[0-9a-fA-F]{64}$"
_LABEL = r"^[!-~]{1,128}$"


def like(pattern: str, message: str) -> AfterValidator:
    """Return the check of a text against a pattern that says in words what is expected."""
    compiled = re.compile(pattern.removesuffix("$"))

    def check(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError(message)
        return text

    return AfterValidator(check)


Port = Annotated[int, Field(ge=1, le=65_535), IsNumber]
Host = Annotated[str, AfterValidator(checked_host)]
Reference = Annotated[
    str, AfterValidator(check_reference), WithJsonSchema({"type": "string", "pattern": REFERENCE_PATTERN})
]
Digest = Annotated[
    str,
    like(_DIGEST, "this should be the 64 hex digits that `printf %s KEY | sha256sum` prints, not the key itself"),
    WithJsonSchema({"type": "string", "pattern": _DIGEST}),
]
Label = Annotated[
    str,
    like(_LABEL, "this should be one word of up to 128 ASCII characters"),
    WithJsonSchema({"type": "string", "pattern": _LABEL}),
]
