"""Exact arithmetic on signed numbers: integers and decimal fractions, never floats.

What lives here: the type `Number` and comparing, adding and scaling it. What may not: normalising. A number stays as it
was signed, so (-1, 10) equals 1 and is kept as (-1, 10).
"""

from typing import TypeAlias

from drystone.errors import SenmlMalformed
from drystone.limits import INTEGER_BITS_MAX

Number: TypeAlias = int | tuple[int, int]
"""An integer, or (exponent, mantissa) with exponent -9 to -1: `mantissa * 10**exponent`."""


def compare(a: Number, b: Number) -> int:
    """Return -1, 0 or 1 as the value of `a` is less than, equal to or greater than that of `b`, exactly."""
    if isinstance(a, tuple) or isinstance(b, tuple):
        _, a, b = _align(a, b)
    return (a > b) - (a < b)


def scale(value: Number, exponent: int) -> int | None:
    """Return the integer n with `n * 10**exponent == value`, or None when there is none."""
    own, mantissa = split(value)
    shift = own - exponent
    if shift >= 0:
        return mantissa * 10**shift
    quotient, rest = divmod(mantissa, 10**-shift)
    return None if rest else quotient


def split(value: Number) -> tuple[int, int]:
    """Return the number as (exponent, mantissa), with exponent 0 for an integer."""
    return value if isinstance(value, tuple) else (0, value)


def join(exponent: int, mantissa: int) -> Number:
    """Return the number that `split` takes apart into these."""
    return (exponent, mantissa) if exponent else mantissa


def add(base: Number | None, number: Number) -> Number:
    """Return the sum at the lower exponent of the two; `number` itself when there is no base.

    Raises SenmlMalformed beyond `INTEGER_BITS_MAX` bits.
    """
    if base is None:
        return number
    if isinstance(base, int) and isinstance(number, int):
        total = base + number
        check_magnitude(total)
        return total
    exponent, a, b = _align(base, number)
    check_magnitude(a + b)
    return exponent, a + b


def check_magnitude(mantissa: int) -> None:
    """Check that an integer or mantissa has at most `INTEGER_BITS_MAX` bits beside its sign.

    Raises SenmlMalformed.
    """
    if mantissa.bit_length() > INTEGER_BITS_MAX:
        raise SenmlMalformed(f"a number of more than {INTEGER_BITS_MAX} bits")


def _align(a: Number, b: Number) -> tuple[int, int, int]:
    """Return the lower exponent of both numbers, and both mantissas at it."""
    a_exponent, a_mantissa = split(a)
    b_exponent, b_mantissa = split(b)
    exponent = min(a_exponent, b_exponent)
    return (
        exponent,
        a_mantissa * 10 ** (a_exponent - exponent),
        b_mantissa * 10 ** (b_exponent - exponent),
    )
