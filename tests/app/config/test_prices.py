"""Amounts are worked out by hand from the price lists, or compared with what genai-prices itself computes."""

import math
import time
from datetime import datetime
from decimal import Decimal
from typing import Any

import pytest
from genai_prices import Usage, calc_price
from genai_prices.types import ModelPrice, Tier, TieredPrices
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages.ai import UsageMetadata

from app.config.data_settings import McpServer
from app.config.price_list import is_of_tokens
from app.config.prices import Pricer, fallback_pricer, pricer
from app.config.rates import Rate
from app.config.settings import OPENAI_URL, LongContext, Price, Settings
from app.errors import BadInput

# Plain, with cached input, tiered, tiered with a price for cache writes, with prices for audio.
MODELS = ("gpt-5-mini", "gpt-5-nano", "gpt-4.1", "o4-mini", "gpt-5.4", "gpt-6-luna", "gpt-audio")
DEEPSEEK = "https://api.deepseek.com"
GATEWAY = "http://gateway.example:4000/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai/"
OPENROUTER = "https://openrouter.ai/api/v1"
OWN = {"mine": Price(input=0.1, output=0.7)}
PRICER = Pricer(OWN)


def usage(
    into: int, out: int, details: dict[str, int | None] | None = None, out_details: dict[str, int | None] | None = None
) -> UsageMetadata:
    """Usage as langchain-openai reports it."""
    into_details: Any = details or {}
    outward: Any = out_details or {}
    return UsageMetadata(
        input_tokens=into,
        output_tokens=out,
        total_tokens=into + out,
        input_token_details=into_details,
        output_token_details=outward,
    )


@st.composite
def usages(draw: st.DrawFn, most: int = 600_000) -> UsageMetadata:
    """Any usage that can be true: cached, written and audio input share no token."""
    into, out = draw(st.integers(1, most)), draw(st.integers(0, most))
    cached = draw(st.integers(0, into))
    written = draw(st.integers(0, into - cached))
    audio = draw(st.integers(0, into - cached - written))
    reasoning, spoken = draw(st.integers(0, out)), draw(st.integers(0, out))
    return usage(
        into,
        out,
        {"cache_read": cached, "cache_creation": written, "audio": audio},
        {"reasoning": reasoning, "audio": spoken},
    )


@pytest.mark.parametrize(
    ("model", "used", "micro_usd"),
    [
        # $0.25 in, $0.025 cached, $2 out per million: 8,000 x 0.25 + 2,000 x 0.025 + 500 x 2
        ("gpt-5-mini", usage(10_000, 500, {"cache_read": 2_000}, {"reasoning": 400}), 2_000 + 50 + 1_000),
        # $0.05 in, $0.005 cached, $0.40 out: 0.35 + 0.005 + 0.4, rounded up
        ("gpt-5-nano", usage(8, 1, {"cache_read": 1}), 1),
        ("gpt-5-nano", usage(1_001, 0), 51),
        # $2 in, $0.50 cached, $8 out
        ("gpt-4.1", usage(100, 10, {"cache_read": 60}), 80 + 30 + 80),
        # $1.10 in, $0.275 cached, $4.40 out: 1,100 + 275 + 440
        ("o4-mini", usage(2_000, 100, {"cache_read": 1_000}, {"reasoning": 100}), 1_815),
        # Above 272,000 tokens everything costs more, not only what is above: $5 in, $0.50 cached, $22.50 out
        ("gpt-5.4", usage(272_000, 100), 680_000 + 1_500),
        ("gpt-5.4", usage(272_001, 100, {"cache_read": 2_001}), 1_350_000 + 1_001 + 2_250),
        # $0.10 in, $0.125 written to the cache, $0.01 read from it, $0.50 out
        ("gpt-6-luna", usage(1_000, 10, {"cache_read": 500, "cache_creation": 400}), 10 + 50 + 5 + 5),
        # $2.50 text and $32 audio in, $10 text and $64 audio out
        ("gpt-audio", usage(100, 50, {"audio": 10}, {"audio": 20}), 225 + 320 + 300 + 1_280),
        ("mine", usage(11, 3), 4),  # 1.1 + 2.1 = 3.2, rounded up
    ],
)
def test_a_call_costs_what_the_list_says(model: str, used: UsageMetadata, micro_usd: int) -> None:
    assert PRICER(model, used) == micro_usd


@given(model=st.sampled_from(MODELS), used=usages())
def test_it_agrees_with_genai_prices(model: str, used: UsageMetadata) -> None:
    into, out = used["input_token_details"], used["output_token_details"]
    counted = Usage(
        input_tokens=used["input_tokens"],
        output_tokens=used["output_tokens"],
        cache_read_tokens=into["cache_read"],
        cache_write_tokens=into["cache_creation"],
        input_audio_tokens=into["audio"],
        output_audio_tokens=out["audio"],
    )
    dollars = calc_price(counted, model, provider_id="openai").total_price
    assert PRICER(model, used) == math.ceil(dollars * 1_000_000)


@given(model=st.sampled_from([*MODELS, *OWN]), used=usages(), more_in=st.integers(0, 10**6), more_out=st.integers(0, 9))
def test_no_call_costs_more_than_its_worst_case(model: str, used: UsageMetadata, more_in: int, more_out: int) -> None:
    worst = PRICER.worst_case(model, used["input_tokens"] + more_in, used["output_tokens"] + more_out)
    assert 0 <= PRICER(model, used) <= worst


@given(model=st.sampled_from([*MODELS, *OWN]), into=st.integers(1, 600_000), micro_usd=st.integers(0, 10**7))
def test_an_amount_pays_for_so_many_answer_tokens_and_not_for_one_more(model: str, into: int, micro_usd: int) -> None:
    tokens = PRICER.answer_tokens(model, into, micro_usd)
    if tokens < 0:
        assert PRICER.worst_case(model, into, 0) > micro_usd
    else:
        assert PRICER.worst_case(model, into, tokens) <= micro_usd < PRICER.worst_case(model, into, tokens + 1)


def test_what_an_amount_pays_for_worked_out_by_hand() -> None:
    assert PRICER.answer_tokens("gpt-5-mini", 1_000, 1_251) == 500  # 250 in, and 2 per token out
    assert PRICER.answer_tokens("gpt-5-mini", 1_000, 250) == 0
    assert PRICER.answer_tokens("gpt-5-mini", 1_000, 249) < 0
    free = Pricer({"free": Price(input=1, output=0)})
    assert free.answer_tokens("free", 10, 10) > 10**6
    assert free.answer_tokens("free", 10, 9) < 0


def test_embeddings_cost_their_input_only() -> None:
    assert PRICER.embedding("text-embedding-3-small", 1_000_001) == 20_001  # $0.02 per million
    assert PRICER.embedding("text-embedding-3-large", 100) == 13
    assert Pricer({"own": Price(input=1.5)}).embedding("own", 3) == 5


def test_an_embedding_model_without_a_price_is_refused_wherever_the_knowledge_base_runs(settings: Settings) -> None:
    unpriced = settings.model_copy(update={"embedding_model": "nobody-knows"})
    elsewhere = {"knowledge_base": McpServer.model_validate({"url": "http://127.0.0.1:7801/mcp"})}
    for mcp in ({}, elsewhere):
        with pytest.raises(
            BadInput, match=r"^TOLLGATE_EMBEDDING_MODEL: the model nobody-knows has no known price; set TOLL"
        ):
            pricer(unpriced.model_copy(update={"mcp": mcp}))


@given(model=st.sampled_from([*MODELS, *OWN]), used=usages(), more=st.integers(0, 600_000))
def test_more_tokens_never_cost_less(model: str, used: UsageMetadata, more: int) -> None:
    longer: Any = {**used, "input_tokens": used["input_tokens"] + more, "total_tokens": used["total_tokens"] + more}
    said: Any = {**used, "output_tokens": used["output_tokens"] + more, "total_tokens": used["total_tokens"] + more}
    assert PRICER(model, used) <= min(PRICER(model, longer), PRICER(model, said))


@given(model=st.sampled_from([*MODELS, *OWN]), used=usages())
def test_reasoning_is_output_like_any_other(model: str, used: UsageMetadata) -> None:
    silent: Any = {**used, "output_token_details": {**used["output_token_details"], "reasoning": 0}}
    assert PRICER(model, used) == PRICER(model, silent)


@given(used=usages(most=250_000))
def test_the_parts_share_no_token(used: UsageMetadata) -> None:
    """The price of a whole is that of its parts, each priced as a call of its own, but for one rounding each."""
    for model in ("gpt-6-luna", "gpt-audio"):
        into, out = used["input_token_details"], used["output_token_details"]
        rest = used["input_tokens"] - sum(into[name] for name in ("cache_read", "cache_creation", "audio"))
        alone = [usage(count, 0, {name: count}) for name, count in into.items() if isinstance(count, int) and count]
        alone += [usage(rest, 0)] if rest else []
        nothing = PRICER(model, usage(1, 0))
        parts = sum(PRICER(model, each) for each in alone)
        spoken = usage(1, out["audio"], {}, {"audio": out["audio"]})
        written = usage(1, used["output_tokens"] - out["audio"])
        parts += PRICER(model, spoken) + PRICER(model, written)
        assert PRICER(model, used) <= parts <= PRICER(model, used) + 2 * nothing + 6


@pytest.mark.parametrize("tokens", [1, 2_000, 2_001, 3_000_000])
def test_tiers_of_any_model_are_priced_as_genai_prices_does(tokens: int) -> None:
    price = TieredPrices(Decimal(3), [Tier(9_000, Decimal("1.5")), Tier(2_000, Decimal(6))])  # the last is cheaper
    rate = Rate.of(price)
    assert rate.at(tokens) == {1: 3, 2_000: 3, 2_001: 6, 3_000_000: Decimal("1.5")}[tokens]
    assert rate.highest(tokens) == (3 if tokens <= 2_000 else 6)


def test_the_worst_case_takes_the_dearest_part_of_the_dearest_tier() -> None:
    assert PRICER.worst_case("gpt-5-mini", 1_000, 100) == 250 + 200
    assert PRICER.worst_case("gpt-6-luna", 1_000, 100) == 125 + 50
    assert PRICER.worst_case("gpt-5.4", 272_000, 100) == 680_000 + 1_500
    assert PRICER.worst_case("gpt-5.4", 272_001, 100) == 1_360_005 + 2_250
    assert PRICER.worst_case("mine", 0, 0) == 0


@pytest.mark.parametrize("tier", ["priority", "flex"])
def test_the_service_tier_that_answered_sets_the_price(tier: str) -> None:
    used = usage(1_000, 100, {f"{tier}_cache_read": 400, tier: 600}, {f"{tier}_reasoning": 50, tier: 50})
    expected = {"priority": 600 * 0.45 + 400 * 0.045 + 100 * 3.6, "flex": 600 * 0.125 + 400 * 0.0125 + 100}[tier]
    assert PRICER("gpt-5-mini", used) == math.ceil(expected)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        None,
        "many",
        usage(-1, 5),
        usage(5, -1),
        usage(0, 5),  # what langchain-openai makes of usage without counts
        usage(10, 5, {"cache_read": 11}),
        usage(10, 5, {"cache_read": 6, "cache_creation": 5}),
        usage(10, 5, {"cache_read": -1}),
        usage(10, 5, {}, {"reasoning": 6}),
        usage(10, 5, {}, {"audio": 6}),
        {**usage(10, 5), "total_tokens": 16},  # tokens that are billed and not told
        {**usage(10, 5), "total_tokens": "16"},
        {**usage(10, 5), "input_tokens": 10.0},
        {**usage(10, 5), "output_tokens": True},
        {**usage(10, 5), "input_token_details": {"cache_read": "2"}},
        {**usage(10, 5), "input_token_details": [2]},
        {"input_tokens": 10, "total_tokens": 10},
    ],
)
def test_usage_that_cannot_be_true_has_no_price(wrong: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        PRICER("gpt-5-mini", wrong)


def test_details_may_be_missing_or_empty() -> None:
    bare: Any = {"input_tokens": 4, "output_tokens": 1}
    assert PRICER("gpt-5-mini", bare) == PRICER("gpt-5-mini", usage(4, 1, {"cache_read": None})) == 3


def test_amounts_of_any_size_are_exact() -> None:
    assert PRICER("mine", usage(10**30 + 1, 0)) == 10**29 + 1


def test_an_own_price_comes_before_the_list_and_may_have_a_price_for_cached_input() -> None:
    own = Pricer({"gpt-5-mini": Price(input=10, output=20, cached=1)})
    assert own("gpt-5-mini", usage(5, 1, {"cache_read": 2})) == 30 + 2 + 20
    assert own.worst_case("gpt-5-mini", 5, 1) == 50 + 20


def test_a_dated_name_is_the_same_model() -> None:
    assert PRICER("gpt-5-mini-2025-08-07", usage(100, 1)) == PRICER("gpt-5-mini", usage(100, 1))


@pytest.mark.parametrize("field", ["model", "supervisor_model"])
@pytest.mark.parametrize("name", ["nobody-knows", "text-embedding-3-small"])
def test_a_configured_model_without_a_price_is_refused(field: str, name: str, settings: Settings) -> None:
    refusal = rf"^TOLLGATE_{field.upper()}: the model {name} has no known price; set TOLLGATE_PRICES='"
    with pytest.raises(BadInput, match=refusal):
        pricer(settings.model_copy(update={field: name}))
    with pytest.raises(BadInput, match=refusal):
        pricer(settings.model_copy(update={field: name, "prices": {name: Price(input=1)}}))  # and the answer?
    assert pricer(settings.model_copy(update={field: name, "prices": {name: OWN["mine"]}}))(name, usage(10, 0)) == 1


def test_the_fallback_has_the_prices_of_its_own_address(settings: Settings) -> None:
    both = settings.model_copy(update={"fallback_model": "gpt-5-mini", "fallback_base_url": GATEWAY})
    assert pricer(both).worst_case("gpt-5-mini", 1_000, 100) == 450
    assert fallback_pricer(both).worst_case("gpt-5-mini", 1_000, 100) == 450 + 360
    with pytest.raises(BadInput, match=r"^TOLLGATE_FALLBACK_MODEL: the model gpt-5-mini has no known price"):
        fallback_pricer(both.model_copy(update={"fallback_base_url": GOOGLE}))


@pytest.mark.parametrize(
    ("url", "name", "micro_usd"),
    [
        (f"{OPENAI_URL}/", "gpt-5-mini-2025-08-07", 25_000 + 2_000),
        (OPENAI_URL, "gpt-5-mini-20250807", 25_000 + 2_000),
        (
            OPENAI_URL,
            "ft:gpt-4o-mini-2024-07-18:org:name:id",
            30_000 + 1_200,
        ),  # $0.30 and $1.20, twice the base model's
        (OPENAI_URL, "ft:gpt-4o-2024-08-06:org::id", 375_000 + 15_000),  # $3.75 and $15
        (GATEWAY, "gpt-5-mini", 45_000 + 3_600),  # perhaps of a project whose default is priority: $0.45 and $3.60
        (GOOGLE, "gemini-2.5-pro", 125_000 + 10_000),  # $1.25 and $10
        (GOOGLE, "models/gemini-2.5-pro", 125_000 + 10_000),
        (OPENROUTER, "openai/gpt-5-mini", 25_000 + 2_000),
        (OPENROUTER, "anthropic/claude-sonnet-4.5", 375_000 + 15_000),  # $3, $3.75 to write to the cache, $15
        ("https://api.groq.com/openai/v1", "llama-3.3-70b-versatile", 59_000 + 790),  # $0.59 and $0.79
    ],
)
def test_the_address_says_whose_price_applies(url: str, name: str, micro_usd: int) -> None:
    assert Pricer({}, url).worst_case(name, 100_000, 1_000) == micro_usd


def test_long_context_makes_the_whole_call_dearer() -> None:
    google = Pricer({}, GOOGLE)
    assert google("gemini-2.5-pro", usage(200_000, 100)) == 250_000 + 1_000
    assert google("gemini-2.5-pro", usage(200_001, 100)) == 500_003 + 1_500  # $2.50 and $15: 500,002.5 + 1,500
    assert google.worst_case("gemini-2.5-pro", 200_001, 100) == 501_503
    # 190,000 in and 20,000 out cost 387,500 at most, but 200,001 in and 9,999 out cost 649,987.5
    assert google.dearest_call("gemini-2.5-pro", 210_000, 20_000) == 649_988


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (OPENAI_URL, "ft:gpt-4.1-mini:org::id"),  # not the base model's price
        (OPENAI_URL, "ft:gpt-4-0613:org::id"),
        (OPENAI_URL, "gpt-5-nano-turbo"),  # begins like gpt-5-nano
        (OPENAI_URL, "openai/gpt-5-mini"),
        (OPENAI_URL, "gemini-2.5-pro"),
        (OPENAI_URL, "gpt-4o-search-preview"),  # bills its searches too
        ("https://eu.api.openai.com/v1", "gpt-5.4"),  # ten percent more
        ("https://our.openai.azure.com/openai/v1", "gpt-5-mini"),  # the name of a deployment, of any kind
        (GATEWAY, "gemini-2.5-pro"),
        (GOOGLE, "gpt-5-mini"),
        (OPENROUTER, "openai/gpt-5-mini:online"),
        ("https://api.perplexity.ai", "sonar"),  # a price per request too
    ],
)
def test_a_name_that_leaves_a_doubt_is_refused(url: str, name: str) -> None:
    with pytest.raises(BadInput, match=rf"the model {name} has no known price"):
        Pricer({}, url).worst_case(name, 1, 1)


def test_a_price_list_with_other_fees_does_not_bound_a_call() -> None:
    plain: Any = {"input_mtok": Decimal(1), "output_mtok": Decimal(1)}
    assert is_of_tokens("any", ModelPrice(**plain))
    for fee in ("requests_kcount", "output_reasoning_mtok", "output_citation_mtok"):
        assert not is_of_tokens("any", ModelPrice(**plain, **{fee: Decimal(5)}))


@pytest.mark.parametrize(
    ("url", "name", "at", "micro_usd"),
    [
        # $0.15 and $0.60, and twice that from 06:00 to 10:00
        (DEEPSEEK, "deepseek-flash", "2026-11-30T04:59:59Z", 150 + 60),
        (DEEPSEEK, "deepseek-flash", "2026-11-30T05:00:00Z", 300 + 120),
        (DEEPSEEK, "deepseek-flash", "2026-11-30T09:59:59Z", 300 + 120),
        (DEEPSEEK, "deepseek-flash", "2026-11-30T10:00:00Z", 150 + 60),
        # $0.75 and $3.75 for an introduction in 2026, then twice that
        (GOOGLE, "gemini-3.6-flash", "2026-12-31T22:59:59Z", 750 + 375),
        (GOOGLE, "gemini-3.6-flash", "2026-12-31T23:59:59Z", 1_500 + 750),
        (GOOGLE, "gemini-3.6-flash", "2027-01-01T00:00:01Z", 1_500 + 750),
    ],
)
def test_while_a_price_changes_the_dearer_one_applies(url: str, name: str, at: str, micro_usd: int) -> None:
    prices, moment = Pricer({}, url), datetime.fromisoformat(at)
    assert prices(name, usage(1_000, 100), moment) == prices.worst_case(name, 1_000, 100, moment) == micro_usd


def test_an_own_price_may_have_all_that_a_list_has() -> None:
    long = LongContext(above=1_000, input=4, output=20, cached=1)
    own = Pricer({"own": Price(input=2, output=10, cache_write=3, long_context=long)})
    parts: dict[str, int | None] = {"cache_read": 100, "cache_creation": 200}
    assert own("own", usage(1_000, 10, parts)) == 1_400 + 200 + 600 + 100  # cached input without a price: as any other
    assert own("own", usage(1_001, 10, parts)) == 2_804 + 100 + 800 + 200
    assert own.worst_case("own", 1_000, 10) == 3_000 + 100
    assert own.worst_case("own", 1_001, 10) == 4_004 + 200


def test_pricing_takes_under_100_microseconds() -> None:
    used = usage(10_000, 500, {"cache_read": 2_000}, {"reasoning": 400})
    calls, seconds = 200, []
    PRICER("gpt-5-mini", used)
    for _ in range(20):
        before = time.thread_time()
        for _ in range(calls):
            PRICER("gpt-5-mini", used)
        seconds.append(time.thread_time() - before)
    assert min(seconds) / calls < 100e-6
