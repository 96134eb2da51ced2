"""Settings of tracing, under the standard names of OpenTelemetry and LangSmith.

Declared are the variables of OpenTelemetry on which we depend. Its SDK reads these and all others by itself.
"""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, HttpUrl, SecretStr, model_validator
from pydantic_settings import BaseSettings

OTEL = "OTEL_"
DEFAULT_ENDPOINT = "http://localhost:4318"

Captured = Literal["NO_CONTENT", "SPAN_ONLY", "EVENT_ONLY", "SPAN_AND_EVENT", "TRUE", "FALSE"]


class TracingSettings(BaseSettings):
    """The tracing part of `Settings`."""

    otel_exporter_otlp_endpoint: HttpUrl | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Address of an OpenTelemetry collector; setting it turns tracing on. All OTEL_ variables apply.",
    )
    otel_exporter_otlp_traces_endpoint: HttpUrl | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        description="The whole address that spans are sent to, with its path, instead of that.",
    )
    otel_exporter_otlp_protocol: Literal["http/protobuf"] | None = Field(
        None, validation_alias="OTEL_EXPORTER_OTLP_PROTOCOL", description="Only http/protobuf; gRPC is not built in."
    )
    otel_traces_exporter: Literal["otlp", "none"] | None = Field(
        None,
        validation_alias="OTEL_TRACES_EXPORTER",
        description=f"otlp turns tracing on, to {DEFAULT_ENDPOINT} unless another address is set; none turns it off.",
    )
    otel_sdk_disabled: bool = Field(
        False, validation_alias="OTEL_SDK_DISABLED", description="true turns OpenTelemetry off, whatever else is set."
    )
    otel_capture_content: Annotated[Captured, BeforeValidator(lambda given: str(given).upper())] = Field(
        "NO_CONTENT",
        validation_alias="OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT",
        description="SPAN_ONLY or true records prompts, answers and tool calls on spans, redacted.",
    )
    langsmith_tracing: bool = Field(
        False, validation_alias="LANGSMITH_TRACING", description="true sends traces to LangSmith."
    )
    langsmith_api_key: SecretStr | None = Field(
        None, validation_alias="LANGSMITH_API_KEY", description="Key of LangSmith."
    )
    langsmith_endpoint: HttpUrl | None = Field(
        None, validation_alias="LANGSMITH_ENDPOINT", description="Address of LangSmith when it is not the public one."
    )
    langsmith_project: str = Field(
        "tollgate", validation_alias="LANGSMITH_PROJECT", description="LangSmith project that traces go to."
    )

    @model_validator(mode="before")
    @classmethod
    def _undeclared_are_for_the_sdk(cls, given: dict[str, Any]) -> dict[str, Any]:
        """Without those in `.env` that only OpenTelemetry's SDK reads, which would be refused as unknown."""
        return {name: value for name, value in given.items() if not name.startswith(OTEL.lower())}

    @property
    def spans_endpoint(self) -> str | None:
        """Where OpenTelemetry's SDK sends spans; None: tracing is off."""
        if self.otel_sdk_disabled or self.otel_traces_exporter == "none":
            return None
        if self.otel_exporter_otlp_traces_endpoint:
            return str(self.otel_exporter_otlp_traces_endpoint)
        if self.otel_exporter_otlp_endpoint or self.otel_traces_exporter:
            return f"{str(self.otel_exporter_otlp_endpoint or DEFAULT_ENDPOINT).rstrip('/')}/v1/traces"
        return None

    @property
    def captures_content(self) -> bool:
        """Whether spans have the contents of messages and tool calls."""
        return self.otel_capture_content in {"SPAN_ONLY", "SPAN_AND_EVENT", "TRUE"}

    @property
    def otel_variables(self) -> dict[str, str]:
        """The variables that are set, for a child process that does not read our settings."""
        fields = {each: field for each, field in type(self).model_fields.items() if each.startswith(OTEL.lower())}
        given = {str(field.validation_alias): (getattr(self, name), field.default) for name, field in fields.items()}
        return {
            name: str(value).lower() if value is True else str(value)
            for name, (value, default) in given.items()
            if value != default
        }
