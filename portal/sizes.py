"""Numbers of bytes, as people read them."""

UNITS = ("B", "kB", "MB", "GB", "TB")


def size(number: int) -> str:
    """Bytes, in units of 1000."""
    value, unit = float(number), 0
    while value >= 999.5 and unit + 1 < len(UNITS):
        value, unit = value / 1000, unit + 1
    digits = 1 if unit and value < 99.95 else 0
    return f"{value:.{digits}f} {UNITS[unit]}"


def excess(number: int, limit: int) -> str:
    """What is wrong with so many bytes: exact, since near the limit both are the same in larger units, and readable."""
    return f"{number} bytes ({size(number)}), more than the {limit} ({size(limit)}) allowed"
