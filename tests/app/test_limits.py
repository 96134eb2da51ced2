"""Every limit has a setting that changes it, a line where people look for it, and a stop reason that is explained."""

from pathlib import Path

import pytest

from app.config.settings import load, variable
from app.errors import BadInput
from graphs.spending.limits import CEILING, LIMITS, MICRO, Limits
from graphs.stop_reasons import EXPLAINED

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / ".env.example").read_text(encoding="utf-8")
TABLE = (ROOT / "docs/limits.md").read_text(encoding="utf-8")
RAISED = [name for name, limit in LIMITS.items() if limit.ceiling]

# Settings that somebody's .env has, and fields that somebody's checkpoints have.
KNOWN = {
    "TOLLGATE_JOB_BUDGET_USD": ("budget_micro_usd", "0.1", 100_000),
    "TOLLGATE_TENANT_DAY_USD": ("tenant_day_micro_usd", "6", 6 * MICRO),
    "TOLLGATE_DEPLOYMENT_DAY_USD": ("deployment_day_micro_usd", "7.5", 7_500_000),
    "TOLLGATE_SPEND_PER_MINUTE_USD": ("spend_per_minute_micro_usd", "0.000001", 1),
    "TOLLGATE_ANSWER_TOKENS": ("answer_tokens", "1", 1),
    "TOLLGATE_REQUEST_TOKENS": ("request_tokens", "2", 2),
    "TOLLGATE_CALL_TIMEOUT_S": ("call_timeout_s", "3", 3),
    "TOLLGATE_OUTAGE_S": ("outage_s", "0", 0),
    "TOLLGATE_JOB_DEADLINE_S": ("deadline_s", "4", 4),
    "TOLLGATE_JOB_STEPS": ("steps", "5", 5),
    "TOLLGATE_JOB_HANDOFFS": ("handoffs", "6", 6),
    "TOLLGATE_JOB_MODEL_CALLS": ("model_calls", "7", 7),
    "TOLLGATE_JOB_TOOL_CALLS": ("tool_calls", "8", 8),
    "TOLLGATE_AGENT_MODEL_CALLS": ("agent_model_calls", "9", 9),
    "TOLLGATE_AGENT_TOOL_CALLS": ("agent_tool_calls", "10", 10),
    "TOLLGATE_AGENT_DEADLINE_S": ("agent_deadline_s", "11", 11),
    "TOLLGATE_DECISION_HOURS": ("decision_s", "0.5", 1800),
    "TOLLGATE_ON_LIMIT": ("on_limit", "fail", "fail"),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", LIMITS)
def test_a_setting_changes_it_and_no_other(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    limit, before = LIMITS[name], getattr(Limits(), name)
    value = max(limit.least, before // 2)
    monkeypatch.setenv(variable(limit.setting), str(limit.in_unit(value)))

    assert value != before
    assert load().limits == Limits().model_copy(update={name: value})


@pytest.mark.parametrize("name", LIMITS)
def test_what_makes_no_sense_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    limit = LIMITS[name]
    for wrong in (limit.least - 1, limit.most + 1, float("nan")):
        monkeypatch.setenv(variable(limit.setting), str(wrong / limit.unit.scale))
        with pytest.raises(BadInput, match=f"^setting {variable(limit.setting)}: Input should be"):
            load()
    with pytest.raises(ValueError, match=name):
        Limits(**{name: limit.least - 1})


@pytest.mark.parametrize("name", LIMITS)
def test_whoever_looks_for_it_finds_it(name: str) -> None:
    limit, field = LIMITS[name], Limits.model_fields[name]

    assert field.description
    assert f"\n# {field.description}\n# {variable(limit.setting)}={limit.in_unit(field.default)}\n" in EXAMPLE
    assert f"\n| `{name}`: {field.description} | {limit.shown(field.default)} | " in TABLE
    assert limit.reason in EXPLAINED or name == "parallel"


@pytest.mark.parametrize("name", RAISED)
def test_a_setting_changes_what_it_may_be_raised_to(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    limit, most = LIMITS[name], variable(LIMITS[name].ceiling_setting)
    assert load().ceiling == CEILING
    assert f"# {most}={limit.in_unit(getattr(CEILING, name))}\n" in EXAMPLE
    monkeypatch.setenv(most, str(limit.in_unit(2 * getattr(CEILING, name))))

    assert load().ceiling == CEILING.model_copy(update={name: 2 * getattr(CEILING, name)})

    monkeypatch.setenv(most, str(limit.in_unit(getattr(Limits(), name) - 1)))
    with pytest.raises(BadInput, match=f"^{variable(limit.setting)} is above {most}; lower the one or raise the other"):
        load()


def test_the_two_that_may_be_raised_are_named_as_they_were() -> None:
    assert [LIMITS[name].ceiling_setting for name in RAISED] == ["job_budget_max_usd", "job_deadline_max_s"]


def test_settings_and_fields_are_named_as_they_were(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, (_, text, _) in KNOWN.items():
        monkeypatch.setenv(name, text)
    assert load().limits == Limits(**{field: value for field, _, value in KNOWN.values()})
