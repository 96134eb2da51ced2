"""The settings file of the data: `orders.toml` beside `orders.csv`, or `data.toml` in the folder.

The owner of the data says there what nobody can infer, and what a model has to know.
"""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mcp_servers.base.serving import StartupError
from mcp_servers.sales.naming import snake_case

FOLDER_SETTINGS = "data.toml"


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Reading(_Settings):
    """How to read text. Everything has a default, which is inferred from the data."""

    encoding: str | None = Field(None, description="of a text file: utf-8, cp1252, ...")
    delimiter: str | None = Field(None, min_length=1, max_length=1, description="between the fields of a text file")
    quote: str | None = Field(None, max_length=1, description="around fields; '' if there is none")
    header_line: int | None = Field(None, ge=0, description="line with the names of the columns, from 1; 0: none")
    footer_lines: int | None = Field(None, ge=0, description="lines to leave out at the end")
    dates: Literal["day-first", "month-first", "year-first"] | None = Field(None, description="what 03/04/2024 is")
    decimal: Literal[".", ","] | None = Field(None, description="sign between whole and fraction")
    missing: tuple[str, ...] = Field((), description="further words for a missing value")


class Column(_Settings):
    """What the owner says of a column. Its key is the original name."""

    name: str | None = Field(None, description="its name in SQL")
    description: str = Field("", description="what it means")
    currency: str | None = Field(None, description="of the amounts in it: EUR")
    text: bool = Field(False, description="keep it as text")


class TableSettings(Reading):
    """What the owner says of a table. Its key is its name in SQL."""

    description: str = Field("", description="what a row is")
    columns: dict[str, Column] = {}


class Targets(_Settings):
    """The table of targets, one per month and dimension."""

    table: str
    month: str = Field(description="column with a month (2024-01) or a date in it")
    amount: str
    dimensions: tuple[str, ...] = Field((), description="columns that the table of sales has too")


class Roles(_Settings):
    """Which columns the prepared tools compute with. Names are those in SQL."""

    table: str = Field(description="table with a row per sale")
    date: str
    amount: str
    currency: str | None = Field(None, description="column with the currency of each amount, if there are several")
    quantity: str | None = None
    order: str | None = Field(None, description="column that is the same in all rows of an order")
    customer: str | None = None
    customer_id: str | None = Field(None, description="what tells customers of the same name apart")
    customer_attributes: tuple[str, ...] = Field((), description="columns that describe a customer, not a sale")
    dimensions: tuple[str, ...] = Field((), description="columns to break revenue down by")
    targets: Targets | None = None


class DataSettings(Reading):
    """The whole file: how to read all tables, exceptions by table, and roles."""

    tables: dict[str, TableSettings] = {}
    roles: Roles | None = None

    def table(self, name: str) -> TableSettings:
        """The settings of a table: its own, else those of all."""
        own = self.tables.get(name, TableSettings())
        shared = self.model_dump(include=set(Reading.model_fields), exclude_unset=True)
        return own.model_copy(update={key: value for key, value in shared.items() if key not in own.model_fields_set})

    @property
    def amount(self) -> Column:
        """What the owner says of the amounts that the prepared tools sum."""
        if self.roles is None:
            return Column()
        columns = self.table(self.roles.table).columns
        named = ((each.name or snake_case(key), each) for key, each in columns.items())
        return next((each for name, each in named if name == self.roles.amount), Column())

    @property
    def currency(self) -> str | None:
        """The currency of these amounts, if they have one."""
        return self.amount.currency


NOTHING_SAID = DataSettings()


def place(data: Path) -> Path:
    """Where the settings of these data are, if there are any."""
    return data / FOLDER_SETTINGS if data.is_dir() else data.with_suffix(".toml")


def read(file: Path | None) -> DataSettings:
    """The settings in the file; the defaults without a file. Raises StartupError: the line or key that is wrong."""
    if file is None or not file.exists():
        return NOTHING_SAID
    try:
        return DataSettings.model_validate(tomllib.loads(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError) as error:
        raise StartupError(f"cannot read the settings of the data, {file}: {error}") from error
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        raise StartupError(f"the settings of the data, {file}, are not valid: {wrong}") from error
