"""All configuration. Only this module reads the environment.

Values come from the environment or from `.env`; `.env.example` lists them all with one line each.
"""

import base64
import difflib
import hmac
import os
from pathlib import Path
from typing import Self

from dotenv import dotenv_values
from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, ValidationError, model_validator
from pydantic_settings import SettingsConfigDict, SettingsError

from app.config.data_settings import DataSettings
from app.config.limit_settings import LimitSettings
from app.config.secrets import secrets_in
from app.config.tracing_settings import OTEL, TracingSettings
from app.errors import BadInput
from graphs.spending.limits import LIMITS

PREFIX = "TOLLGATE_"
ENV_FILE = ".env"
HOURS_TO_END = 1  # that a job is kept after a wait expires, for a worker to end it
OPENAI_URL = "https://api.openai.com/v1"


class _Rates(BaseModel):
    model_config = ConfigDict(extra="forbid")

    output: float | None = Field(None, ge=0, allow_inf_nan=False)
    cached: float | None = Field(None, ge=0, allow_inf_nan=False)
    cache_write: float | None = Field(None, ge=0, allow_inf_nan=False)


class LongContext(_Rates):
    """The prices of all tokens of a call with more input tokens than `above`."""

    above: int = Field(gt=0)
    input: float = Field(ge=0, allow_inf_nan=False)


class Price(_Rates):
    """US dollars per million tokens, for a model that `genai-prices` does not know. Only an embedding model has no
    price for output. Without their own, cached and written tokens cost what other input does."""

    input: float = Field(ge=0, allow_inf_nan=False)
    long_context: LongContext | None = None


class Settings(TracingSettings, DataSettings, LimitSettings):
    """One field per setting; its description is the line in `.env.example`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ENV_FILE,
        env_nested_delimiter="__",
        extra="forbid",
        env_ignore_empty=True,
        hide_input_in_errors=True,  # it may be secret
    )

    openai_api_key: SecretStr | None = Field(
        None, validation_alias="OPENAI_API_KEY", description="Key of the model provider; unset: the stand-in model."
    )
    openai_base_url: HttpUrl | None = Field(
        None, validation_alias="OPENAI_BASE_URL", description="Any OpenAI-compatible server instead of OpenAI's."
    )
    redis_url: SecretStr | None = Field(
        None, validation_alias="REDIS_URL", description="A Redis or Valkey server; unset: one is embedded."
    )
    model: str = Field("gpt-5-mini", description="Model of the agents and the report.")
    supervisor_model: str = Field("gpt-5-nano", description="Model that plans; a cheap tier will do.")
    embedding_model: str = Field("text-embedding-3-small", description="Model for semantic search.")
    prices: dict[str, Price] = Field(
        {}, description='Prices of models without a known one: {"my-model": {"input": 0.2, "output": 0.8}}.'
    )
    data_dir: Path = Field(Path(".data"), description="Folder for reports, logs, generated data and the store.")
    embeddings_gate_url: HttpUrl | None = Field(
        None, description="An embeddings gate that runs elsewhere; unset: one is started when embeddings cost money."
    )
    embeddings_key: SecretStr | None = Field(
        None,
        min_length=32,
        description="The knowledge base's key for that gate; unset: made from TOLLGATE_MCP_SECRET, or at each start.",
    )
    fallback_model: str | None = Field(
        None, description="Model to use while the provider's circuit is open; needs TOLLGATE_FALLBACK_BASE_URL."
    )
    fallback_base_url: HttpUrl | None = Field(None, description="The other provider's address.")
    fallback_api_key: SecretStr | None = Field(None, description="The other provider's key.")
    job_ttl_days: int = Field(14, ge=2, le=3650, description="Days that a job's state, evidence and files are kept.")
    worker_jobs: int = Field(4, gt=0, le=500, description="Jobs that one worker runs at once.")
    tenant_jobs: int = Field(
        3, gt=0, le=500, description="Jobs of one tenant that run at once, over all workers; one slot is left free."
    )
    tenant_queue: int = Field(1000, gt=0, le=100_000, description="Jobs of one tenant that may wait for a worker.")
    job_attempts: int = Field(
        3, gt=0, le=100, description="Failures or crashes at the same place after which a job is dead-lettered."
    )
    lease_s: float = Field(
        10, ge=1, le=300, description="Seconds without a sign of life after which a worker's jobs go to another."
    )
    drain_s: float = Field(30, ge=0, le=3600, description="Seconds that a stopping worker gets to hand over its jobs.")
    webhook_secret: SecretStr | None = Field(
        None, description="Signs webhooks: whsec_ and base64 of 24 to 64 random bytes; unset: none are sent."
    )
    alert_webhook_url: HttpUrl | None = Field(
        None, description="Where alerts at 50, 80 and 100 % of a day's budget go; needs TOLLGATE_WEBHOOK_SECRET."
    )
    webhook_allow_private: bool = Field(False, description="true lets webhooks go to private addresses too.")
    webhook_attempts: int = Field(8, ge=1, le=20, description="Attempts at sending one webhook.")
    webhook_timeout_s: float = Field(10, gt=0, le=60, description="Seconds one attempt at a webhook may take.")
    requests_per_minute: int = Field(120, gt=0, le=60_000, description="HTTP requests an API key may make in a minute.")
    requests_burst: int = Field(30, gt=0, le=10_000, description="HTTP requests an API key may make at once.")
    url: HttpUrl | None = Field(
        None, description="Address of an API for `watch` and `decide` too, not only for `submit` and the like."
    )
    api_key: SecretStr | None = Field(None, description="Key for that API.")
    audit_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Makes the audit trail tamper-evident: 32 characters or more, the same for all processes.",
    )
    audit_days: int = Field(90, gt=0, le=3650, description="Days that entries of the audit trail are kept.")
    stand_in_latency_ms: int = Field(0, ge=0, le=60_000, description="Milliseconds the stand-in model waits per call.")
    stand_in_profile: str | None = Field(
        None,
        description="How the stand-in misbehaves, for drills: clarify, huge, outage, ...; unset: it behaves.",
    )
    stand_in_url: HttpUrl | None = Field(
        None, description="Address of a stand-in model that runs already; unset: one is started when needed."
    )
    record: bool = Field(
        False,
        description="true keeps with each job what models and tools were asked and answered, for `tollgate replay`.",
    )
    cassette: Path | None = Field(
        None,
        description="A recorded job, from `tollgate cassette`: jobs get its answers, whatever key is set; for tests.",
    )

    @model_validator(mode="after")
    def _ceilings_are_above(self) -> Self:
        limits, ceiling = self.limits, self.ceiling
        for name, limit in LIMITS.items():
            if getattr(limits, name) > getattr(ceiling, name):
                given, most = variable(limit.setting), variable(limit.ceiling_setting)
                raise ValueError(f"{given} is above {most}; lower the one or raise the other")
        return self

    @model_validator(mode="after")
    def _a_fallback_is_whole(self) -> Self:
        if (self.fallback_model is None) != (self.fallback_base_url is None):
            raise ValueError("TOLLGATE_FALLBACK_MODEL and TOLLGATE_FALLBACK_BASE_URL go together; set both or none")
        return self

    @model_validator(mode="after")
    def _a_job_outlives_what_it_waits_for(self) -> Self:
        if self.limits.decision_s > self.ttl_seconds - HOURS_TO_END * 3600:
            raise ValueError(
                f"{variable('decision_hours')} is not {HOURS_TO_END} hour below {variable('job_ttl_days')}: the job "
                "could be gone before its report is written; lower the one or raise the other"
            )
        return self

    @model_validator(mode="after")
    def _webhook_secret_can_sign(self) -> Self:
        if self.alert_webhook_url and not self.webhook_secret:
            raise ValueError("TOLLGATE_ALERT_WEBHOOK_URL needs TOLLGATE_WEBHOOK_SECRET, which signs what is sent there")
        if self.webhook_secret and not _is_webhook_secret(self.webhook_secret.get_secret_value()):
            raise ValueError(
                "TOLLGATE_WEBHOOK_SECRET is not whsec_ and base64 of 24 to 64 bytes; "
                'make one with: echo "whsec_$(openssl rand -base64 32)"'
            )
        return self

    @model_validator(mode="after")
    def _the_gate_has_a_key(self) -> Self:
        if self.embeddings_key is None and self.mcp_secret:
            derived = hmac.digest(self.mcp_secret.get_secret_value().encode(), b"embeddings", "sha256").hex()
            self.embeddings_key = SecretStr(derived)
        return self

    @property
    def offline(self) -> bool:
        """Whether the stand-in model answers: by a cassette, or because no key and no other server is configured."""
        return self.cassette is not None or (self.openai_api_key is None and self.openai_base_url is None)

    @property
    def model_url(self) -> str | None:
        """Address of the provider, or of a running stand-in; None if a stand-in must be started."""
        if self.offline:
            return str(self.stand_in_url) if self.stand_in_url else None
        return str(self.openai_base_url) if self.openai_base_url else OPENAI_URL

    @property
    def embeddings_url(self) -> str | None:
        """Where the knowledge base gets embeddings: from the gate, or from the stand-in, which is free. It never gets
        the provider's address or key."""
        if self.embeddings_gate_url:
            return str(self.embeddings_gate_url)
        return self.model_url if self.offline else None

    @property
    def secrets(self) -> tuple[str, ...]:
        """Values that no log, event, trace or response may contain."""
        return tuple(secrets_in(self))

    @property
    def ttl_seconds(self) -> int:
        """Lifetime of a job's keys after their last change."""
        return self.job_ttl_days * 86_400


def load() -> Settings:
    """Read the environment and `.env`.

    Raises:
        BadInput: an unknown setting or an invalid value; one line names it.
    """
    _refuse_unknown()
    try:
        _export_standard_variables()
        return Settings()
    except (SettingsError, UnicodeDecodeError) as error:
        raise BadInput(f"the settings cannot be read: {str(error).splitlines()[0]}; see .env.example") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = [str(each) for each in first["loc"]]
        name = "__".join(place).upper() if place[:1] == ["MCP"] else "".join(place[:1])
        raise BadInput(_line(first["type"], name, first["msg"].removeprefix("Value error, "))) from error


def child_environment(extra: dict[str, str]) -> dict[str, str]:
    """The environment for a child process: ours, and `extra`."""
    return {**os.environ, **extra}


def bare_environment(extra: dict[str, str]) -> dict[str, str]:
    """The environment for a child process that does not read our settings: without them, and with `extra`."""
    known = names()
    others = {name: value for name, value in os.environ.items() if name.upper() not in known}
    return {name: value for name, value in others.items() if not name.upper().startswith("MCP__")} | extra


def names() -> dict[str, str]:
    """The environment variable of every setting, with its description."""
    return {variable(name): field.description or "" for name, field in Settings.model_fields.items()}


def variable(field: str) -> str:
    """The environment variable of a field or property."""
    found = Settings.model_fields.get(field)
    alias = found and found.validation_alias
    return alias if isinstance(alias, str) else f"{PREFIX}{field.upper()}"


def _is_webhook_secret(text: str) -> bool:
    coded = text.removeprefix("whsec_")
    padding = "=" * (-len(coded) % 4)
    try:
        return coded != text and 24 <= len(base64.b64decode(coded + padding, validate=True)) <= 64
    except ValueError:
        return False


def _refuse_unknown() -> None:
    known = names()
    for name in os.environ:
        if name.startswith(PREFIX) and name not in known:
            raise BadInput(_line("extra_forbidden", name, ""))


def _export_standard_variables() -> None:
    """Let OpenTelemetry's SDK, in this process and its children, see what is in `.env`."""
    for name, value in dotenv_values(ENV_FILE).items():
        if name.startswith(OTEL) and value:
            os.environ.setdefault(name, value)


def _line(kind: str, name: str, message: str) -> str:
    if kind == "extra_forbidden" and name.startswith("MCP__"):
        return f"unknown setting {name}; an MCP server has __URL, __URLS or __COMMAND, and perhaps a __TOKEN"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(name.upper(), names(), n=1, cutoff=0.5)
        return f"unknown setting {name.upper()}" + (f"; did you mean {near[0]}?" if near else "; see .env.example")
    shown = name if name in names() or not name else variable(name) if name in Settings.model_fields else name
    return f"setting {shown}: {message}" if shown else message
