"""The 80-bit numbers in which INCRBYFLOAT and HINCRBYFLOAT count, done with integers.

Redis adds x86 ``long double`` values (64 bits of mantissa) and prints them with ``%.17Lf``. A Python float has
53 bits and would print other digits, so a number is an exact (mantissa, exponent) pair here, rounded where
the processor rounds.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

__all__ = ["LongDouble", "add", "parse", "show"]

_MANTISSA_BITS: Final = 64
_MAX_EXPONENT: Final = 16384
_MIN_EXPONENT: Final = -16445
_DECIMALS: Final = 17
_SCALE: Final = 10**_DECIMALS

# strtold's buffer in Redis, its end mark included.
_TEXT_SIZE: Final = 5 * 1024
# No number of that many decimal places before or after the point is neither 0 nor too large.
_FAR: Final = 12_000

_DECIMAL = re.compile(rb"([+-]?)(?:(\d+)\.?(\d*)|\.(\d+))(?:[eE]([+-]?\d+))?")
_HEXADECIMAL = re.compile(
    rb"([+-]?)0[xX](?:([0-9a-fA-F]+)\.?([0-9a-fA-F]*)|\.([0-9a-fA-F]+))"
    rb"(?:[pP]([+-]?\d+))?"
)
_INFINITY = re.compile(rb"([+-]?)inf(?:inity)?", re.IGNORECASE)


class LongDouble(NamedTuple):
    """``mantissa * 2**exponent``; ``infinite`` says that the mantissa is only a sign."""

    mantissa: int
    exponent: int
    infinite: bool = False


def parse(text: bytes) -> LongDouble | None:
    """Return the number Redis reads, None for what it refuses.

    That is blanks, NaN, and what is too large or too small for the format.
    """
    if len(text) >= _TEXT_SIZE:
        return None
    match = _DECIMAL.fullmatch(text)
    if match is not None:
        return _parse_digits(match, 10, 10)
    match = _HEXADECIMAL.fullmatch(text)
    if match is not None:
        return _parse_digits(match, 16, 2)
    match = _INFINITY.fullmatch(text)
    if match is not None:
        return LongDouble(-1 if match[1] == b"-" else 1, 0, infinite=True)
    return None


def _parse_digits(match: re.Match[bytes], base: int, step: int) -> LongDouble | None:
    """Return the number of a match: sign, digits, digits of the fraction, exponent."""
    sign, whole, fraction, bare, exponent = match.groups()
    fraction = fraction or bare or b""
    # Without leading zeros; int() refuses more than 4300 decimal digits, hence two halves.
    digits = ((whole or b"") + fraction).lstrip(b"0")
    if not digits:
        return LongDouble(0, 0)
    places = len(fraction) * (4 if base == 16 else 1)
    scale = _to_exponent(exponent) - places
    reach = scale + len(digits) * (4 if base == 16 else 1)
    if abs(reach) > _FAR * (4 if base == 16 else 1):
        return None
    value = _to_integer(digits, base)
    if scale >= 0:
        number = _round(value * step**scale, 1)
    else:
        number = _round(value, step**-scale)
    if number.infinite or not number.mantissa:
        return None
    return number._replace(mantissa=-number.mantissa) if sign == b"-" else number


def _to_exponent(text: bytes | None) -> int:
    # What does not fit into 18 digits is far out of range whatever it says exactly.
    if text is None:
        return 0
    digits = text.lstrip(b"+-").lstrip(b"0")[:18] or b"0"
    return -int(digits) if text[:1] == b"-" else int(digits)


def _to_integer(digits: bytes, base: int) -> int:
    value = 0
    for i in range(0, len(digits), 4000):
        part = digits[i : i + 4000]
        value = value * base ** len(part) + int(part, base)
    return value


def add(a: LongDouble, b: LongDouble) -> LongDouble | None:
    """Return the sum, None where it is infinite or no number."""
    if a.infinite or b.infinite:
        return None
    low = min(a.exponent, b.exponent)
    total = (a.mantissa << (a.exponent - low)) + (b.mantissa << (b.exponent - low))
    if total == 0:
        return LongDouble(0, 0)
    number = _round(abs(total) << max(low, 0), 1 << max(-low, 0))
    if number.infinite:
        return None
    return number._replace(mantissa=-number.mantissa) if total < 0 else number


def _round(numerator: int, denominator: int) -> LongDouble:
    """Return the nearest number of the format to a positive fraction, ties to even."""
    exponent = numerator.bit_length() - denominator.bit_length() - _MANTISSA_BITS
    exponent = max(exponent, _MIN_EXPONENT)
    quotient = _divide(numerator, denominator, exponent)
    if quotient.bit_length() > _MANTISSA_BITS:
        # The guess from the lengths was one too low. Dividing again rounds only once.
        exponent += 1
        quotient = _divide(numerator, denominator, exponent)
    if quotient.bit_length() > _MANTISSA_BITS:
        quotient, exponent = quotient >> 1, exponent + 1
    if quotient and quotient.bit_length() + exponent > _MAX_EXPONENT:
        return LongDouble(1, 0, infinite=True)
    return LongDouble(quotient, exponent)


def _divide(numerator: int, denominator: int, exponent: int) -> int:
    """Return ``numerator / denominator / 2**exponent`` as the nearest integer."""
    if exponent >= 0:
        denominator <<= exponent
    else:
        numerator <<= -exponent
    quotient, rest = divmod(numerator, denominator)
    if 2 * rest > denominator or (2 * rest == denominator and quotient & 1):
        quotient += 1
    return quotient


def show(number: LongDouble) -> bytes:
    """Return the text Redis stores: at most 17 decimals, without trailing zeros."""
    negative, mantissa = number.mantissa < 0, abs(number.mantissa)
    scaled = _divide(mantissa * _SCALE, 1, -number.exponent) if mantissa else 0
    whole, fraction = divmod(scaled, _SCALE)
    text = _to_digits(whole)
    if fraction:
        text += b".%017d" % fraction
        text = text.rstrip(b"0")
    if negative and text != b"0":
        return b"-" + text
    return text


def _to_digits(value: int) -> bytes:
    """Return decimal digits; str() refuses more than 4300 of them."""
    if value.bit_length() < 13_000:
        return b"%d" % value
    # 2**12999 is more than 10**3900, so something is left above.
    high, low = divmod(value, 10**3900)
    return _to_digits(high) + b"%03900d" % low
