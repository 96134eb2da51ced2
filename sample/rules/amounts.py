"""Numbers as people write them, from the cells of a table."""


def plain(value: float) -> str:
    """With thousands separators: whole from a hundred on, else with at most two decimals."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:,.2f}"


def percent(value: float) -> str:
    """One decimal; two where one would hide the value."""
    return f"{value:,.1f}%" if abs(value) >= 0.05 or value == 0 else f"{value:.2f}%"


def amount(value: float, unit: str) -> str:
    """The value in its unit: EUR, % or a counted thing."""
    if unit == "EUR":
        return f"EUR {plain(value)}" if abs(value) >= 1000 else f"EUR {value:,.2f}"
    if unit == "%":
        return percent(value)
    return f"{plain(value)} {unit}".rstrip()


def moved(change: float) -> str:
    """The verb for a change."""
    return "rose" if change >= 0 else "fell"
