"""A setting that does not exist or does not fit is named in one line."""

import os
from pathlib import Path

import pytest

from app.config.prices import pricer
from app.config.settings import Settings, load
from app.errors import BadInput
from app.running.processes import mcp_program


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_without_any_setting_it_runs_offline() -> None:
    settings = load()
    assert settings.offline
    assert settings.limits.budget_micro_usd == 250_000


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("TOLLGATE_MODLE", "x", "unknown setting TOLLGATE_MODLE; did you mean TOLLGATE_MODEL?"),
        ("TOLLGATE_JOB_BUDGET_USD", "plenty", "setting TOLLGATE_JOB_BUDGET_USD: Input should be a valid number"),
        (
            "TOLLGATE_JOB_BUDGET_USD",
            "-1",
            "setting TOLLGATE_JOB_BUDGET_USD: Input should be greater than or equal to 0.000001",
        ),
        ("OPENAI_BASE_URL", "nowhere", "setting OPENAI_BASE_URL: Input should be a valid URL"),
        ("MCP__SALSE__URL", "http://localhost:1", "MCP__SALSE: no agent uses a server salse; did you mean MCP__SALES?"),
        ("MCP__CRM__ULR", "http://localhost:1", "unknown setting MCP__CRM__ULR; an MCP server has __URL, __URLS"),
        ("MCP__MY__CRM__URL", "http://localhost:1", "unknown setting MCP__MY__CRM; an MCP server has __URL"),
        ("MCP__CRM__URL", "nowhere", "setting MCP__CRM__URL: Input should be a valid URL"),
        ("MCP__CRM__URLS", "http://a,nowhere", "setting MCP__CRM: Input should be a valid URL"),
        ("MCP__CRM__TOKEN", "t", "setting MCP__CRM: an MCP server needs one of URL, URLS (of its replicas"),
        ("MCP__CRM-2__URL", "http://localhost:1", "MCP__CRM-2: the name of an MCP server begins with a letter"),
        ("TOLLGATE_TOOL_PRICES", '{"wbe.search_web": 0.01}', "TOLLGATE_TOOL_PRICES: wbe.search_web is no tool: give"),
        (
            "TOLLGATE_TOOL_PRICES",
            '{"web": 0.01}',
            "TOLLGATE_TOOL_PRICES: web is no tool: give <server>.<tool>",
        ),
        ("TOLLGATE_TOOL_PRICES", '{"web.search_web": -1}', "setting TOLLGATE_TOOL_PRICES: Input should be greater"),
        ("TOLLGATE_PRICES", "{bad", "the settings cannot be read: error parsing value for field"),
        (
            "TOLLGATE_WEBHOOK_SECRET",
            "hunter2",
            "TOLLGATE_WEBHOOK_SECRET is not whsec_ and base64 of 24 to 64 bytes; make",
        ),
        ("TOLLGATE_WEBHOOK_SECRET", f"whsec_{'A' * 28}", "TOLLGATE_WEBHOOK_SECRET is not whsec_"),
        ("TOLLGATE_WEBHOOK_SECRET", f"whsec_{'A' * 88}", "TOLLGATE_WEBHOOK_SECRET is not whsec_"),
        ("TOLLGATE_WEBHOOK_SECRET", f"whsec_{'A' * 40}!!!!", "TOLLGATE_WEBHOOK_SECRET is not whsec_"),
        ("TOLLGATE_WEBHOOK_SECRET", "A" * 32, "TOLLGATE_WEBHOOK_SECRET is not whsec_"),
        ("TOLLGATE_WEBHOOK_ATTEMPTS", "0", "setting TOLLGATE_WEBHOOK_ATTEMPTS: Input should be greater than"),
        ("TOLLGATE_ON_LIMIT", "explode", "setting TOLLGATE_ON_LIMIT: Input should be 'escalate'"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "setting OTEL_EXPORTER_OTLP_PROTOCOL: Input should be 'http/protobuf'"),
    ],
)
def test_a_bad_setting_is_one_line(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadInput) as error:
        load()
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)


def test_a_job_is_kept_for_longer_than_it_may_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_JOB_TTL_DAYS", "2")
    monkeypatch.setenv("TOLLGATE_DECISION_HOURS", "47")
    assert load().ttl_seconds == 2 * 86_400
    monkeypatch.setenv("TOLLGATE_DECISION_HOURS", "47.01")
    with pytest.raises(BadInput, match=r"^TOLLGATE_DECISION_HOURS is not 1 hour below TOLLGATE_JOB_TTL_DAYS: .*"):
        load()
    monkeypatch.setenv("TOLLGATE_JOB_TTL_DAYS", "1")  # a job that waits for a new day could be gone by then
    with pytest.raises(BadInput, match="TOLLGATE_JOB_TTL_DAYS: Input should be greater than or equal to 2"):
        load()


def test_the_env_file_is_read_and_checked(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("TOLLGATE_MODEL=gpt-5\nMCP__SALES__URL=http://sales:7802/mcp\n")
    settings = load()
    assert settings.model == "gpt-5"
    assert str(settings.mcp["sales"].url) == "http://sales:7802/mcp"
    (tmp_path / ".env").write_text("TOLLGATE_BUDGET=1\n")
    with pytest.raises(BadInput, match="unknown setting TOLLGATE_BUDGET; did you mean TOLLGATE_JOB_BUDGET_USD"):
        load()


def test_a_key_is_never_shown() -> None:
    settings = Settings(_env_file=None, OPENAI_API_KEY="sk-secret")
    assert "sk-secret" not in repr(settings)
    assert not settings.offline
    assert settings.model_url == "https://api.openai.com/v1"


@pytest.mark.parametrize("coded", ["A" * 32, "A" * 43, "A" * 43 + "=", "+/" * 16])
def test_a_webhook_secret_may_be_padded_or_not(monkeypatch: pytest.MonkeyPatch, coded: str) -> None:
    monkeypatch.setenv("TOLLGATE_WEBHOOK_SECRET", f"whsec_{coded}")
    settings = load()
    assert settings.webhook_secret is not None
    assert coded not in repr(settings)


def test_a_bad_secret_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_WEBHOOK_SECRET", "hunter2")
    with pytest.raises(BadInput) as error:
        load()
    assert "hunter2" not in f"{error.value}{error.value.__cause__}"


def test_a_model_without_a_price_is_refused_with_the_remedy() -> None:
    with pytest.raises(BadInput, match=r"TOLLGATE_MODEL: the model my-model has no known price; set TOLLGATE_PRICES="):
        pricer(Settings(_env_file=None, model="my-model"))


def test_an_own_price_is_used() -> None:
    own = {"my-model": {"input": 1, "output": 4}}
    price = pricer(Settings(_env_file=None, model="my-model", prices=own))
    assert price("my-model", {"input_tokens": 1000, "output_tokens": 500, "total_tokens": 1500}) == 3000


def test_prices_of_tools_are_exact_and_rounded_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLGATE_TOOL_PRICES", '{"web.search_web": 0.008, "crm.find": "0.0000001"}')
    monkeypatch.setenv("MCP__CRM__URL", "http://localhost:1")
    assert Settings(_env_file=None).tool_prices_micro_usd == {"web.search_web": 8_000, "crm.find": 1}


def test_cached_tokens_are_cheaper_and_not_counted_twice() -> None:
    price = pricer(Settings(_env_file=None))
    plain = price("gpt-5-mini", {"input_tokens": 1_000_000, "output_tokens": 0, "total_tokens": 1_000_000})
    cached = price(
        "gpt-5-mini",
        {
            "input_tokens": 1_000_000,
            "output_tokens": 0,
            "total_tokens": 1_000_000,
            "input_token_details": {"cache_read": 1_000_000},
        },
    )
    assert (plain, cached) == (250_000, 25_000)


def test_variables_of_opentelemetry_may_be_in_the_file_for_its_sdk_and_for_child_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    endpoint, name, delay = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_SERVICE_NAME", "OTEL_BSP_SCHEDULE_DELAY"
    for each in (endpoint, name, delay):
        monkeypatch.setenv(each, "ours")  # so that what is loaded does not outlive the test
        monkeypatch.delenv(each)
    monkeypatch.setenv(name, "from the environment")
    Path(".env").write_text(f"{endpoint}=http://collector:4318\n{name}=from the file\n{delay}=100\n")
    settings = load()
    assert settings.spans_endpoint == "http://collector:4318/v1/traces"
    assert (os.environ[name], os.environ[delay]) == ("from the environment", "100")
    _, environment = mcp_program(settings, "analytics")
    assert {each: environment[each].rstrip("/") for each in (endpoint, name, delay)} == {
        endpoint: "http://collector:4318",
        name: "from the environment",
        delay: "100",
    }
