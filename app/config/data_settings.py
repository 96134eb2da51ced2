"""Settings of the data plane: data sources, MCP servers, limits of tool calls."""

import difflib
import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr, TypeAdapter, model_validator
from pydantic_settings import BaseSettings

from agents import AGENTS
from app.config.servers import NAMES, SERVERS, OwnServer
from graphs.spending.limits import MOST_USD
from graphs.spending.money import micro_usd
from graphs.tools.limits import ToolLimits

_NAME = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")  # no __, which separates server and tool in names for models
_MOST_OF_A_NAME = 30
_NEAR = 0.75  # similar enough: salse to sales, but not salesforce
_URL = TypeAdapter(HttpUrl)

Dollars = Annotated[Decimal, Field(ge=0, le=MOST_USD)]


class McpServer(BaseModel):
    """The location of an MCP server that is not started here, ours or not: one of URL, URLS and COMMAND.

    `token` is its bearer token.
    """

    model_config = ConfigDict(extra="forbid")

    url: HttpUrl | None = None
    urls: str = ""
    command: str = ""
    token: SecretStr | None = None

    @property
    def address(self) -> str:
        """The address in the tool gateway's form."""
        return self.command or self.urls or str(self.url)

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        if (self.url is not None) + bool(self.urls) + bool(self.command) != 1:
            raise ValueError("an MCP server needs one of URL, URLS (of its replicas, comma-separated) and COMMAND")
        if self.token and self.command:
            raise ValueError("a COMMAND gets no TOKEN; use a script that sets what the program needs as the COMMAND")
        if self.urls:
            self.urls = ",".join(str(_URL.validate_python(each.strip())) for each in self.urls.split(","))
        return self


class DataSettings(BaseSettings):
    """The data part of `Settings`."""

    sales_data: SecretStr | None = Field(
        None,
        description="Your own tables: CSV, Excel, Parquet, SQLite, DuckDB, a folder, or postgresql://user:password@host/database.",
    )
    sales_settings: Path | None = Field(
        None, description="What you say of your sales data; unset: beside them, as orders.toml or data.toml."
    )
    sales_refresh_s: float | None = Field(
        None, gt=0, description="Seconds between checks for changes of the data; unset: 2, and 60 for Postgres."
    )
    knowledge_base_data: Path | None = Field(
        None, description="Your own documents: a folder of Markdown, HTML, PDF, Word, Excel, PowerPoint."
    )
    mcp: dict[str, McpServer] = Field(
        {},
        validation_alias="MCP",
        description="An MCP server elsewhere, ours or not: __URL, __URLS of replicas, or a __COMMAND for stdio; a "
        "third-party server may also have a __TOKEN.",
    )
    tool_timeout_s: float = Field(60.0, gt=0, le=600, description="Seconds that one tool call may take.")
    tool_outage_s: float = Field(
        30.0, ge=0, le=600, description="Seconds that calls wait for an unavailable MCP server before they fail."
    )
    tool_calls_at_once: int = Field(8, ge=1, description="Concurrent calls to one replica of an MCP server.")
    tool_calls_waiting: int = Field(1000, ge=0, description="Calls that may wait for a slot; further ones are refused.")
    tool_calls_per_minute: int = Field(6000, ge=1, description="Calls of one tool per minute, over all workers.")
    tool_rates: dict[str, int] = Field({}, description='Exceptions to that, by server.tool: {"web.search_web": 60}.')
    tool_prices: dict[str, Dollars] = Field(
        {},
        description='US dollars a call of a tool may cost, if not what its server says: {"web.search_web": 0.008}.',
    )
    tavily_api_key: SecretStr | None = Field(
        None, validation_alias="TAVILY_API_KEY", description="Key of Tavily; lets the researcher use the web."
    )
    brave_api_key: SecretStr | None = Field(
        None, validation_alias="BRAVE_API_KEY", description="Key of Brave Search, for the same."
    )
    searxng_url: HttpUrl | None = Field(
        None, validation_alias="SEARXNG_URL", description="A SearXNG that returns JSON, for the same without a key."
    )
    web_search_url: HttpUrl | None = Field(None, description="A proxy for the API of Tavily or Brave.")
    web_allow_private: bool = Field(
        False,
        description="true lets pages at private addresses be read; never if any of them is confidential.",
    )
    mcp_secret: SecretStr | None = Field(
        None,
        min_length=32,
        description="Signs the tokens for MCP servers: 32 characters or more; required beyond loopback.",
    )

    @model_validator(mode="after")
    def _sensible_servers(self) -> Self:
        known = {*NAMES, *users_of_servers()}
        for name, server in self.mcp.items():
            setting = f"MCP__{name.upper()}"
            if len(name) > _MOST_OF_A_NAME or not _NAME.fullmatch(name):
                raise ValueError(
                    f"{setting}: the name of an MCP server begins with a letter and has letters, digits and single "
                    f"underscores, {_MOST_OF_A_NAME} at most"
                )
            if name in NAMES and server.token:
                raise ValueError(f"{setting}__TOKEN: a server of ours is sent tokens signed with TOLLGATE_MCP_SECRET")
            if name not in known and (near := difflib.get_close_matches(name, known, n=1, cutoff=_NEAR)):
                raise ValueError(f"{setting}: no agent uses a server {name}; did you mean MCP__{near[0].upper()}?")
        return self

    @model_validator(mode="after")
    def _priced_tools_are_there(self) -> Self:
        known = {*NAMES, *users_of_servers(), *self.mcp}
        for name in self.tool_prices:
            server, _, tool = name.partition(".")
            if server not in known or not tool:
                raise ValueError(
                    f"TOLLGATE_TOOL_PRICES: {name} is no tool: give <server>.<tool>; the servers are "
                    f"{', '.join(sorted(known))}"
                )
        return self

    @property
    def servers(self) -> tuple[str, ...]:
        """The MCP servers that jobs use: ours, optional ones if turned on, and third-party ones."""

        def is_on(server: OwnServer) -> bool:
            return server.name in self.mcp or any(getattr(self, each) for each in server.turned_on_by)

        ours = (server.name for server in SERVERS if not server.turned_on_by or is_on(server))
        return (*ours, *self.others)

    @property
    def others(self) -> dict[str, SecretStr | None]:
        """The third-party MCP servers, each with its token."""
        return {name: server.token for name, server in self.mcp.items() if name not in NAMES}

    @property
    def missing_servers(self) -> dict[str, str]:
        """Servers that agents require but that are not configured, each with the remedy."""
        return {
            name: f"{', '.join(users)} needs the MCP server {name}; set MCP__{name.upper()}__URL, __URLS or __COMMAND"
            for name, users in users_of_servers(optional=False).items()
            if name not in self.servers
        }

    @property
    def tool_limits(self) -> ToolLimits:
        """The limits of tool calls."""
        return ToolLimits(
            timeout_s=self.tool_timeout_s,
            away_s=self.tool_outage_s,
            at_once=self.tool_calls_at_once,
            most_waiting=self.tool_calls_waiting,
            per_minute=self.tool_calls_per_minute,
            rates=self.tool_rates,
        )

    @property
    def tool_prices_micro_usd(self) -> dict[str, int]:
        """What operators say that a call of a tool may cost, by `server.tool`."""
        return {name: micro_usd(price) for name, price in self.tool_prices.items()}


def users_of_servers(*, optional: bool = True) -> dict[str, list[str]]:
    """The agents that use each MCP server; without `optional`, those that require it."""
    users: dict[str, list[str]] = {}
    for agent in AGENTS:
        tools = agent.tools + (agent.optional_tools if optional else ())
        for server in dict.fromkeys(tool.partition(".")[0] for tool in tools):
            users.setdefault(server, []).append(agent.name)
    return users
