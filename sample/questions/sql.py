"""Statements over the sales that several questions are measured by."""


def revenue(country: str, year: int) -> str:
    """What a country brought in a year."""
    return f"SELECT sum(revenue_eur) FROM sales WHERE country = '{country}' AND year = '{year}'"


def total(year: int) -> str:
    """What all countries brought in a year."""
    return f"SELECT sum(revenue_eur) FROM sales WHERE year = '{year}'"


def change(country: str, year: int) -> str:
    """By how many percent a country's revenue was above that of the year before."""
    return f"SELECT 100 * (({revenue(country, year)}) / ({revenue(country, year - 1)}) - 1)"


def units(product: str, period: str, column: str = "year") -> str:
    """How many pieces of a product were sold in a year, a quarter or a month."""
    return f"SELECT sum(units) FROM sales WHERE product = '{product}' AND {column} = '{period}'"


def share(condition: str, year: int) -> str:
    """The percentage of a year's revenue for which the condition holds."""
    return (
        f"SELECT 100 * sum(revenue_eur) FILTER (WHERE {condition}) / sum(revenue_eur) FROM sales WHERE year = '{year}'"
    )
