"""`tollgate keys`, `token` and `audit`: administration, on the configured Redis."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated

import typer

from app.commands.terminal import OPERATE, loaded
from app.config.servers import own_server
from app.errors import BadInput, OperatorMustAct
from app.running.processes import redis_running

if TYPE_CHECKING:
    from app.access.audit import Audit
    from app.access.keys import Key, Keys

ACTOR = "command line"

cli = typer.Typer()
keys_commands = typer.Typer(no_args_is_help=True, help="API keys: create, list and revoke them.")
cli.add_typer(keys_commands, name="keys", rich_help_panel=OPERATE)

Act = Callable[["Keys", "Audit"], Awaitable[None]]
Tenant = Annotated[str, typer.Option(help="The key's tenant: 1 to 40 of a-z, 0-9, _ and -.")]
Scopes = Annotated[
    list[str], typer.Option("--scope", help="submit, read, decide, cancel, delete or admin; repeat for several.")
]
Name = Annotated[str, typer.Option(help="What the key is for.")]


@keys_commands.command()
def create(tenant: Tenant, scope: Scopes, name: Name = "") -> None:
    """Create a key and print it on stdout, only this once."""

    async def act(keys: "Keys", trail: "Audit") -> None:
        new = await keys.create(tenant, scope, name)
        typer.echo(f"created {_line(new.key)}\nstore it now, it is not shown again:", err=True)
        typer.echo(new.secret)
        await _noted(trail, "key.create", new.key)  # last, so that a failing trail does not lose the secret

    _with_stores(act)


@keys_commands.command("list")
def list_keys() -> None:
    """List the keys, oldest first: id, tenant, scopes, creation time, name."""

    async def act(keys: "Keys", trail: "Audit") -> None:  # noqa: ARG001
        for key in await keys.list():
            typer.echo(_line(key))

    _with_stores(act)


@keys_commands.command()
def revoke(key_id: Annotated[str, typer.Argument(help="Id of the key, as `keys list` shows it.")]) -> None:
    """Revoke a key. Running servers refuse it within 5 seconds, and end its open streams within 20."""

    async def act(keys: "Keys", trail: "Audit") -> None:
        key = await keys.revoke(key_id)
        await _noted(trail, "key.revoke", key)
        typer.echo(f"revoked {_line(key)}", err=True)
        if not await keys.list():
            typer.echo("no key is left: all requests are refused; create one, or run `tollgate keys waive`", err=True)

    _with_stores(act)


@keys_commands.command()
def waive() -> None:
    """Allow everybody on this machine without a key again; only when all keys are revoked."""

    async def act(keys: "Keys", trail: "Audit") -> None:
        await keys.waive()
        await trail.append("key.waive", ACTOR)
        typer.echo("no key is needed: an API on a loopback address admits everybody on its machine", err=True)

    _with_stores(act)


@cli.command(rich_help_panel=OPERATE)
def token(
    server: Annotated[str, typer.Argument(help="MCP server that the token is for.")],
    tools: Annotated[list[str] | None, typer.Option("--tool", help="A tool that it allows; default: all.")] = None,
    hours: Annotated[float, typer.Option(min=0.01, max=8760, help="Hours for which it is valid.")] = 1,
    name: Annotated[str, typer.Option(help="Caller's name in the server's log.")] = "command line",
) -> None:
    """Print a token for an MCP server that requires one, for a client that is not an agent."""
    settings = loaded()
    if settings.mcp_secret is None:
        raise BadInput("TOLLGATE_MCP_SECRET is not set: without it servers require no token; set it to sign one")
    own_server(server)  # our token opens no other
    from graphs.tools.tokens import Caller, Signer  # noqa: PLC0415  heavy

    caller = Caller(name, " ".join(tools) if tools else "*")
    typer.echo(Signer(settings.mcp_secret).token(server, caller, hours * 3600))


@cli.command(rich_help_panel=OPERATE)
def audit(
    tenant: Annotated[str | None, typer.Option(help="Only entries of this tenant.")] = None,
    verify: Annotated[bool, typer.Option("--verify", help="Verify the whole trail instead of printing it.")] = False,
) -> None:
    """Print the audit trail, oldest entry first, one JSON document per line; or verify it."""
    if tenant is not None and verify:
        raise BadInput("the audit trail is one chain of all tenants; give --tenant or --verify, not both")

    async def show(keys: "Keys", trail: "Audit") -> None:  # noqa: ARG001
        async for page in trail.pages(tenant):
            typer.echo("".join(entry.line for entry in page), nl=False)

    async def check(keys: "Keys", trail: "Audit") -> None:  # noqa: ARG001
        newest = await trail.newest()
        if broken := await trail.verify():
            raise OperatorMustAct(f"the audit trail is broken at {broken.id}: {broken.why}")
        typer.echo(
            f"the audit trail is intact up to {newest.id} {newest.mac}" if newest else "the audit trail is empty"
        )
        if not trail.keyed:
            typer.echo("without TOLLGATE_AUDIT_SECRET this detects accidents only: anybody can compute it", err=True)

    _with_stores(check if verify else show)


async def _noted(trail: "Audit", action: str, key: "Key") -> None:
    detail = {"key_id": key.id, "scopes": sorted(key.scopes), "name": key.name}
    await trail.append(action, ACTOR, tenant=key.tenant, detail=detail)


def _line(key: "Key") -> str:
    return f"{key.id}  {key.tenant}  {','.join(sorted(key.scopes))}  {key.created_at}  {key.name}".rstrip()


def _with_stores(act: Act) -> None:
    settings = loaded()
    with redis_running(settings) as url:
        from app.access.audit import trail  # noqa: PLC0415  heavy
        from app.access.keys import Keys  # noqa: PLC0415
        from app.store.redis import checked, connect  # noqa: PLC0415
        from graphs.redis.failures import STORE_FAILED, explained  # noqa: PLC0415

        async def session() -> None:
            async with contextlib.aclosing(connect(url)) as client:
                await checked(client, lambda _: None)
                await act(Keys(client), trail(settings, client))

        try:
            asyncio.run(session())
        except STORE_FAILED as error:
            raise OperatorMustAct(f"{explained(error)}; `tollgate keys list` shows what was done") from error
