"""Doubles as text, with the digits that Redis 7.2 prints.

These are the digits of Grisu2 (F. Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with
Integers", 2010), which counts in 64 bits. They read back as the number, and one in a thousand has a digit
more than it needs or a last digit that is not the nearest: ``1.6885755416426389e+5``, where Python prints
``168857.5541642639``. Compared with Redis 7.2.4 over 300 000 numbers.
"""

from __future__ import annotations

from math import copysign, frexp, isinf, ldexp
from typing import Final

__all__ = ["format_double", "format_number"]

# Of the powers of ten every eighth is used: the lowest that brings a number's own binary exponent into
# this range, so that what is left of it has 4 to 32 bits before the point.
_STEP: Final = 8
_LOWEST_POWER: Final = -348
_LOWEST_EXPONENT: Final = -60

_HALF: Final = 1 << 63
_FULL: Final = float(1 << 53)
# Below it doubles have fewer bits.
_NORMAL: Final = 2.0**-1022

# Up to it Redis looks whether a double is whole.
_WHOLE: Final = float(1 << 62)
# Whole numbers up to it have the same text either way: no more than seven zeros at the end.
_SHORT: Final = float(10**8)


def format_double(value: float) -> bytes:
    """Return a double as replies, payloads and commands in files have it.

    Whole numbers are printed in full up to 2**62; of the others long ones get an exponent: ``1.5``,
    ``1e-7``, ``1.2345678901234567e+4``.
    """
    if -_WHOLE <= value <= _WHOLE and value == int(value) and value:
        return b"%d" % int(value)
    return b"nan" if value != value else format_number(value)


def format_number(value: float) -> bytes:
    """Return a double as a script's argument of a command, and as a digest's part, have it.

    Whole numbers that end in many zeros get an exponent too: ``1e+8``. What is not a number has a sign.
    """
    if -_SHORT < value < _SHORT and value == int(value) and value:
        return b"%d" % int(value)
    sign = "-" if copysign(1.0, value) < 0 else ""
    if value != value:
        return b"%bnan" % sign.encode()
    if not value or isinf(value):
        return sign.encode() + (b"inf" if value else b"0")
    digits, shift = _digits(abs(value))
    return (sign + _lay_out(str(digits), shift)).encode()


def _digits(value: float) -> tuple[int, int]:
    """Return digits and the power of ten they count in, of a positive number."""
    # In units of 2**exponent: the number, and half of the way to the neighbours above and below.
    if value < _NORMAL:
        bits = int(ldexp(value, 1074))
        shift = 63 - bits.bit_length()
        whole, half, exponent = bits << shift + 1, 1 << shift, -1075 - shift
        lower = half
    else:
        mantissa, exponent = frexp(value)
        whole, half, exponent = int(mantissa * _FULL) << 11, 1 << 10, exponent - 64
        # The neighbour below a power of two is nearer.
        lower = half >> 1 if mantissa == 0.5 else half
    factor, point, power = _scale_of(exponent)
    upper = (((whole + half) * factor + _HALF) >> 64) - 1
    spread = upper - (((whole - lower) * factor + _HALF) >> 64) - 1
    middle = (whole * factor + _HALF) >> 64
    # The fewest digits that could do are those of Python.
    kappa = _last_place(value) + power
    while True:
        if kappa >= 0:
            unit = 10**kappa << point
            rest = upper % unit
            if rest <= spread:
                return _nearest(upper, middle, rest, spread, unit), kappa - power
        else:
            times, unit = 10**-kappa, 1 << point
            rest = (upper * times) & (unit - 1)
            if rest < spread * times:
                upper, middle, spread = upper * times, middle * times, spread * times
                return _nearest(upper, middle, rest, spread, unit), kappa - power
        kappa -= 1


def _nearest(upper: int, middle: int, rest: int, spread: int, unit: int) -> int:
    """Return how many units come closest to the middle without leaving the bounds."""
    digits = upper // unit
    distance = upper - middle
    while (
        rest < distance
        and spread - rest >= unit
        and (rest + unit < distance or distance - rest > rest + unit - distance)
    ):
        digits -= 1
        rest += unit
    return digits


def _last_place(value: float) -> int:
    """Return the power of ten of the last digit that Python prints."""
    text, _, exponent = repr(value).partition("e")
    whole, _, fraction = text.partition(".")
    place = int(exponent or 0)
    if fraction and fraction != "0":
        return place - len(fraction)
    return place + len(whole) - len(whole.rstrip("0"))


# The power of ten for numbers of a binary exponent: its 64 bits, how many binary places its product has,
# and how many decimal ones it stands for. Made when first needed.
_scales: dict[int, tuple[int, int, int]] = {}


def _scale_of(exponent: int) -> tuple[int, int, int]:
    scale = _scales.get(exponent)
    if scale is None:
        power = _LOWEST_POWER
        factor, own = _power_of_ten(power)
        while exponent + own + 64 < _LOWEST_EXPONENT:
            power += _STEP
            factor, own = _power_of_ten(power)
        scale = _scales[exponent] = (factor, -(exponent + own + 64), power)
    return scale


def _power_of_ten(power: int) -> tuple[int, int]:
    """Return a power of ten as 64 bits, rounded, and a binary exponent."""
    if power >= 0:
        number, divisor = 10**power, 1
    else:
        number, divisor = 1, 10**-power
    exponent = number.bit_length() - divisor.bit_length() - 64
    if (number << max(-exponent, 0)) // (divisor << max(exponent, 0)) >= 1 << 64:
        exponent += 1
    number, divisor = number << max(-exponent, 0), divisor << max(exponent, 0)
    return (2 * number + divisor) // (2 * divisor), exponent


def _lay_out(digits: str, shift: int) -> str:
    """Return the text of ``digits * 10**shift``."""
    n = len(digits)
    exponent = shift + n - 1
    if shift >= 0 and abs(exponent) < n + 7:
        return digits + "0" * shift
    if shift < 0 and (shift > -7 or abs(exponent) < 4):
        if n + shift > 0:
            return digits[:shift] + "." + digits[shift:]
        return "0." + "0" * -(n + shift) + digits
    mantissa = digits[0] + ("." + digits[1:] if n > 1 else "")
    return f"{mantissa}e{exponent:+d}"
