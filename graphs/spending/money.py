"""US dollars, as people and tools state them, in micro-dollars."""

from decimal import ROUND_CEILING, Decimal, InvalidOperation

from graphs.spending.limits import MICRO

MAX_MICRO_USD = 2**53 - 1  # Lua's numbers are exact up to here


def micro_usd(dollars: str | Decimal) -> int:
    """An amount of US dollars in micro-dollars, rounded up. Raises ValueError."""
    try:
        amount = (Decimal(dollars) * MICRO).to_integral_value(ROUND_CEILING)
        if 0 <= amount <= MAX_MICRO_USD:
            return int(amount)
    except InvalidOperation:  # not a number
        pass
    raise ValueError(f"{str(dollars)[:40]!r} is not an amount of money")


def exact(amount: int) -> int:
    """The amount, if the ledger can book it. Raises ValueError."""
    if not isinstance(amount, int) or not 0 <= amount <= MAX_MICRO_USD:
        raise ValueError(f"{amount} cannot be booked: give an integer from 0 to {MAX_MICRO_USD}")
    return amount
