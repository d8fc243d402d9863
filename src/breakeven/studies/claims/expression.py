"""A calculator for the arithmetic that people put beside a claim: numbers, + - * / **, and named units.

It is no programming language: calls, attributes, strings, comparisons and unknown names are refused, and
length, exponents and size are bounded, so that a file from anywhere can be checked.
"""

from __future__ import annotations

import ast
import operator
import warnings
from math import isfinite
from typing import TYPE_CHECKING, Final

from breakeven import quantities

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAMES: Final[Mapping[str, float]] = {
    "hours_per_month": quantities.HOURS_PER_MONTH,
    "hours_per_year": quantities.HOURS_PER_YEAR,
    "months_per_year": quantities.MONTHS_PER_YEAR,
    "seconds_per_hour": quantities.SECONDS_PER_HOUR,
    "seconds_per_day": quantities.SECONDS_PER_DAY,
    "tokens_per_mtok": float(quantities.TOKENS_PER_MTOK),
    "bytes_per_gb": float(quantities.BYTES_PER_GB),
    "work_hours_per_year": quantities.WORK_HOURS_PER_YEAR,
}
"""The names that an expression may use."""

MAX_CHARACTERS: Final = 200
MAX_EXPONENT: Final = 64.0
MAX_DEPTH: Final = 50

_OPERATORS: Final[Mapping[type[ast.operator], Callable[[float, float], float]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


def evaluate(expression: str) -> float:
    """Return the finite value of an arithmetic expression such as ``(3*2.50+10)/4``.

    Raises ``ValueError`` with the reason when it is too long or deep, uses anything but numbers,
    ``+ - * / **``, brackets and the names in ``NAMES``, divides by zero, or leaves the real numbers.
    """
    if len(expression) > MAX_CHARACTERS:
        raise ValueError(f"the expression has {len(expression)} characters; {MAX_CHARACTERS} are allowed")
    try:
        value = _value(_parse(expression), 0)
    except ZeroDivisionError:
        raise ValueError("the expression divides by zero") from None
    except OverflowError:
        raise ValueError("the expression's value is too large") from None
    if not isfinite(value):
        raise ValueError("the expression's value is too large")
    return value


def _parse(expression: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # "1or 2" is a warning to the parser and no arithmetic
            return ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError, SyntaxWarning, DeprecationWarning, RecursionError, MemoryError):
        raise ValueError("the expression is not arithmetic that can be read") from None


def _value(node: ast.expr, depth: int) -> float:
    if depth > MAX_DEPTH:
        raise ValueError(f"the expression is nested more than {MAX_DEPTH} deep")
    match node:
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return float(number)
        case ast.Name(id=name) if name in NAMES:
            return NAMES[name]
        case ast.Name(id=name):
            raise ValueError(f"the expression uses the unknown name {name[:40]!r}; known: {', '.join(NAMES)}")
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, depth + 1)
        case ast.UnaryOp(op=ast.UAdd(), operand=operand):
            return _value(operand, depth + 1)
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return _power(_value(left, depth + 1), _value(right, depth + 1))
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left, depth + 1), _value(right, depth + 1))
    raise ValueError(f"the expression holds a {type(node).__name__}; only numbers, + - * / ** and names are allowed")


def _power(base: float, exponent: float) -> float:
    if abs(exponent) > MAX_EXPONENT:
        raise ValueError(f"the exponent {exponent:g} is beyond {MAX_EXPONENT:g}")
    if base < 0 and not exponent.is_integer():
        raise ValueError("the expression takes a root of a negative number")
    return float(base**exponent)
