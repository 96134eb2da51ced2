"""The settings of the data plane: where data come from, which MCP servers there are, what calls of tools may take."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, Field, HttpUrl, SecretStr, TypeAdapter, model_validator
from pydantic_settings import BaseSettings

from graphs.tools.limits import ToolLimits

SERVERS = ("knowledge_base", "sales", "analytics", "web")
WITHOUT_WEB = {"tavily_api_key": None, "brave_api_key": None, "searxng_url": None}  # each of which turns it on

_URL = TypeAdapter(HttpUrl)


class McpServer(BaseModel):
    """Where an MCP server runs that is not to be started here: one of the three."""

    url: HttpUrl | None = None
    urls: str = ""
    command: str = ""

    @property
    def address(self) -> str:
        """As the tool gateway takes it."""
        return self.command or self.urls or str(self.url)

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if (self.url is not None) + bool(self.urls) + bool(self.command) != 1:
            raise ValueError("an MCP server has one of URL, URLS (of its replicas, with commas between) and COMMAND")
        if self.urls:
            self.urls = ",".join(str(_URL.validate_python(each.strip())) for each in self.urls.split(","))
        return self


class DataSettings(BaseSettings):
    """The part of `Settings` that is about data."""

    sales_data: SecretStr | None = Field(
        None,
        description="Your own sales data: CSV, Parquet, SQLite, DuckDB file, or postgresql://user:password@host/database.",
    )
    sales_refresh_s: float | None = Field(
        None, gt=0, description="Seconds between looks at whether they have changed; unset: 2, and 60 for Postgres."
    )
    knowledge_base_data: Path | None = Field(None, description="Your own documents: a folder of Markdown, HTML, PDF.")
    mcp: dict[str, McpServer] = Field(
        {},
        validation_alias="MCP",
        description="An MCP server that runs elsewhere: MCP__SALES__URL, _URLS of replicas, or a _COMMAND for stdio.",
    )
    tool_timeout_s: float = Field(60.0, gt=0, le=600, description="Seconds that one call of a tool may take.")
    tool_outage_s: float = Field(
        30.0, ge=0, le=600, description="Seconds that calls wait for an MCP server, from when it went away; then not."
    )
    tool_calls_at_once: int = Field(8, ge=1, description="Calls that one replica of an MCP server gets at a time.")
    tool_calls_waiting: int = Field(1000, ge=0, description="Calls that wait for a place; one more is refused.")
    tool_calls_per_minute: int = Field(6000, ge=1, description="Calls of one tool in a minute, of all workers.")
    tool_rates: dict[str, int] = Field(
        {}, description='Other numbers than that: {"web.search_web": 60}; the name is server.tool.'
    )
    tavily_api_key: SecretStr | None = Field(
        None, validation_alias="TAVILY_API_KEY", description="Key of Tavily: the researcher then reads the web, too."
    )
    brave_api_key: SecretStr | None = Field(
        None, validation_alias="BRAVE_API_KEY", description="Key of Brave's search, for the same."
    )
    searxng_url: HttpUrl | None = Field(
        None, validation_alias="SEARXNG_URL", description="A SearXNG that gives JSON, for the same without a key."
    )
    web_search_url: HttpUrl | None = Field(None, description="A proxy for the API of Tavily or Brave.")
    web_allow_private: bool = Field(
        False,
        description="true lets pages be read at private addresses, too; never where any is private.",
    )
    mcp_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs the tokens that MCP servers ask for: 32 characters or more; needed beyond loopback.",
    )

    @model_validator(mode="after")
    def _known_servers(self) -> Self:
        if unknown := sorted(set(self.mcp) - set(SERVERS)):
            raise ValueError(f"MCP__{unknown[0].upper()}__URL names no MCP server; there are: {', '.join(SERVERS)}")
        return self

    @property
    def servers(self) -> tuple[str, ...]:
        """The MCP servers that jobs have. The web is off unless it is configured."""
        has_web = "web" in self.mcp or any(getattr(self, each) for each in WITHOUT_WEB)
        return tuple(each for each in SERVERS if each != "web" or has_web)

    @property
    def tool_limits(self) -> ToolLimits:
        """What bounds calls of tools."""
        return ToolLimits(
            timeout_s=self.tool_timeout_s,
            away_s=self.tool_outage_s,
            at_once=self.tool_calls_at_once,
            most_waiting=self.tool_calls_waiting,
            per_minute=self.tool_calls_per_minute,
            rates=self.tool_rates,
        )
