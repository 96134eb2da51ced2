"""`tollgate data`: how the company's own data are understood."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from app.commands.terminal import OPERATE, Terminal
from app.config.settings import bare_environment

cli = typer.Typer()
data_commands = typer.Typer(no_args_is_help=True, help="Own data: check how they are understood.")
cli.add_typer(data_commands, name="data", rich_help_panel=OPERATE)


@data_commands.command()
def check(path: Annotated[Path, typer.Argument(help="File or folder, as in TOLLGATE_SALES_DATA.")]) -> None:
    """Print how tables are understood and what is in doubt, and write a first settings file beside them."""
    command = [sys.executable, "-m", "mcp_servers.sales.check", str(path)]
    checked = subprocess.run(command, env=bare_environment({}), capture_output=True, text=True, check=False)  # noqa: S603
    for stderr, said in (
        (False, checked.stdout),
        (True, checked.stderr),
    ):  # what files say must not reach a terminal raw
        Terminal(stderr=stderr, soft_wrap=True).print(said, end="")
    raise SystemExit(checked.returncode)
