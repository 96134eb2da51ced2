"""The words of the trade, as tables: what a word tells about a question. No rule reads words from elsewhere.

A phrase is matched as whole words without regard to case; `*` at the end stands for any ending.
"""

import re
from collections.abc import Iterable, Mapping
from functools import cache

COMPANY = "Voltbay"

# How the planner opens an objective; the words of a frame are no part of the question.
MARKET_FRAME = "Find what published sources say about this:"
OWN_FRAME = "Answer from the company's own sales data:"
ANALYST_FRAME = "Compute on the tables of"
ANALYST_PURPOSE = "What it is for:"
OWN = ("voltbay*", "we", "our", "ours", "my", "the company", "the company's", "own sales")

# Words for parts of a business; with no word for the market beside them they mean the company's own.
OWN_HINTS = ("online shop", "online sales", "webshop", "web shop", "installer*", "wholesal*", "car dealer*", "dealers",
             "fleet", "fleets", "housing association*", "small business*", "home chargers",
             "workplace charger*")  # fmt: skip

# What the company's own data is asked for. `business` means revenue when nothing else is named.
MEASURES: Mapping[str, tuple[str, ...]] = {
    "target": ("target", "targets", "attainment", "quota", "quotas", "budgeted", "hit our", "missed our"),
    "returns": ("return", "returns", "returned", "return rate*", "refund*", "sent back"),
    "discount": ("discount*", "rebate*", "price reduction*"),
    "customers": ("customer", "customers", "client", "clients", "buyer", "buyers", "account", "accounts"),
    "orders": ("orders", "order count", "number of orders", "order volume*"),
    "units": ("unit", "units", "volume", "volumes", "how many charger*", "chargers did", "pieces", "quantity"),
    "revenue": ("revenue*", "turnover", "sales", "income", "takings", "earn", "earned"),
    "business": ("sell", "sells", "sold", "selling", "business", "best-selling", "bestseller*", "perform*",
                 "buy", "buys", "bought", "spend", "spent"),
}  # fmt: skip

# Measures that people ask for and this kind of data rarely holds; a column of that name makes them answerable.
FOREIGN_MEASURES = ("profit*", "margin*", "ebit", "ebitda", "cost of goods*", "employee*", "headcount", "salar*",
                    "inventory", "inventories", "stock level*", "satisf*", "nps", "churn*", "cash flow*",
                    "warranty claim*", "advertising*", "marketing spend*")  # fmt: skip

# What SQL over the columns tells, without a rule for it.
OTHER_MEASURES = ("how many customers", "number of customers", "how many clients", "order value*", "average order",
                  "basket*", "price", "prices", "how expensive")  # fmt: skip

DIMENSIONS: Mapping[str, tuple[str, ...]] = {
    "country": ("country", "countries", "market by market", "nation", "nations"),
    "product": ("product", "products", "model", "models", "best-selling", "bestseller*"),
    "category": ("category", "categories", "product line", "product lines", "product group*"),
    "channel": ("channel", "channels"),
    "segment": ("segment", "segments", "customer segment*", "customer group*", "customer type*"),
    "year": ("by year", "per year", "each year", "yearly", "annual", "annually", "every year", "year by year"),
    "quarter": ("by quarter", "per quarter", "each quarter", "quarterly", "which quarter*", "every quarter",
                "best quarter*", "worst quarter*", "strongest quarter*", "weakest quarter*"),
    "month": ("by month", "per month", "each month", "monthly", "which month*", "every month", "month by month",
              "best month*", "worst month*", "strongest month*", "weakest month*", "peak month*"),
}  # fmt: skip
MISSES = ("miss*", "below", "fail*", "short of", "worst", "lowest", "least")
TIME = ("month", "quarter", "year")

INTENTS: Mapping[str, tuple[str, ...]] = {
    "growth": ("grow*", "grew", "increas*", "decreas*", "declin*", "fall", "fell", "fallen", "rise", "rose", "risen",
               "chang*", "develop*", "evolv*", "evolution", "trend*", "year-on-year", "year on year", "yoy",
               "shrink*", "shrank", "faster", "fastest", "slowest", "drop*", "over time"),
    "cagr": ("cagr", "compound annual*", "average annual growth", "annual growth rate"),
    "share": ("share", "shares", "percentage of", "proportion", "what percent*", "split", "mix"),
    "seasonality": ("season*", "time of year", "peak month*", "strongest month*", "weakest month*"),
    "forecast": ("forecast*", "predict*", "projection*", "projected", "project our", "expect*", "outlook", "will",
                 "next year", "next month*", "next quarter*", "coming year", "coming month*", "coming quarter*"),
    "compare": ("compar*", "versus", "vs", "against", "difference between"),
    "chart": ("chart*", "plot*", "graph*", "diagram*", "visualis*", "visualiz*", "draw"),
    "rank": ("top", "best", "worst", "most", "least", "largest", "biggest", "highest", "lowest", "smallest",
             "fastest", "slowest", "strongest", "weakest", "main", "leading", "best-selling", "bestseller*"),
    "fastest": ("grew fastest", "grew most", "grew the fastest", "grew the most", "growing fastest", "grow fastest",
                "fastest growing", "fastest-growing", "fastest growth", "highest growth", "strongest growth",
                "grew slowest", "slowest growth", "fell most", "fell the most", "shrank most", "lost most",
                "declined most", "declined the most", "grew least"),
    "bottom": ("worst", "least", "lowest", "smallest", "weakest", "slowest", "fell most", "fell the most",
               "shrank most", "declined most", "declined the most", "lost most"),
    "agreement": ("agree*", "disagree*", "contradict*", "consistent", "differ*", "conflict*"),
    "monthly": ("by month", "monthly", "per month", "each month"),
}  # fmt: skip

# Words of the market that the company is in, which are also the words that its sources use.
TOPICS = ("electric car*", "electric vehicle*", "ev", "evs", "bev", "bevs", "phev*", "battery-electric", "plug-in*",
          "electric share", "fully electric", "zero-emission", "new cars", "car market", "registration*", "registered",
          "charging point*", "charge point*", "chargepoint*", "charging station*", "public charg*", "fast charg*",
          "charging network*", "charging infrastructure", "home charg*", "charging at home", "private charg*",
          "grant*", "subsid*", "tax credit*", "incentive*", "kfw", "regulation*", "directive*", "afir", "epbd",
          "mandate*", "legislation", "co2", "obliges", "competitor*", "competition", "rival*", "layoff*", "job cut*",
          "market size*", "size of the market", "charging market*", "charger market*", "industry", "battery pack*",
          "pack price*", "packs", "lithium*", "v2g", "vehicle-to-grid", "bidirectional", "iso 15118*", "per kwh",
          "electricity", "power price*", "energy price*")  # fmt: skip

# Words that point at the outside world without naming one of the topics.
MARKET = ("market", "markets", "published", "sources", "source say*", "according to", "analysts", "experts",
          "studies", "study", "survey*", "industry", "globally", "worldwide")  # fmt: skip

RIVALS = ("chargepoint", "evbox", "easee", "zaptec", "alfen", "pod point", "myenergi", "blink", "tesla", "wallbox n.v.",
          "wallbox's")  # fmt: skip

NUMBERS = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "dozen": 12, "fifteen": 15, "twenty": 20, "a": 1,
}  # fmt: skip

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
          "november", "december")  # fmt: skip

# Capitalised words that are neither a name nor a value of the data.
COMMON_CAPITALS = frozenset(
    """i eur usd gbp euro euros ev evs b2b b2c cagr aov yoy kpi sql vat q1 q2 q3 q4 h1 h2 ytd fy ok please thanks
    what which who how when where why did does do is are was were has have compare show give list tell plot chart
    forecast predict draw compute calculate explain find from region years year t1 t2 t3 t4 t5 t6 t7 t8 t9 by and
    the a an of in for to my our we it its their there also then now if can could would should will""".split()  # noqa: SIM905
)


@cache
def _pattern(phrase: str) -> re.Pattern[str]:
    words = r"\s+".join(re.escape(word) for word in phrase.lower().removesuffix("*").split())
    ending = r"\w*" if phrase.endswith("*") else ""
    return re.compile(rf"(?<![\w-]){words}{ending}(?!\w)")


def position(phrase: str, text: str) -> int:
    """Where the phrase first occurs in the lower-case text, or -1."""
    match = _pattern(phrase).search(text)
    return match.start() if match else -1


def says(phrases: Iterable[str], text: str) -> bool:
    """Whether one of the phrases occurs in the text."""
    low = text.lower()
    return any(position(phrase, low) >= 0 for phrase in phrases)


def spotted(table: Mapping[str, tuple[str, ...]], text: str) -> list[str]:
    """The entries of the table whose phrases occur in the text, in the order of the table."""
    return [name for name, phrases in table.items() if says(phrases, text)]


def without(phrases: Iterable[str], text: str) -> str:
    """The lower-case text with every occurrence of the phrases blanked, the longest first."""
    low = text.lower()
    for phrase in sorted(phrases, key=len, reverse=True):
        low = _pattern(phrase).sub(" ", low)
    return low
