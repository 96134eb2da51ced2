"""`tollgate serve`, `api` and `worker`."""

import socket
from typing import Annotated

import typer

from app.commands.terminal import SERVE, loaded
from app.config import ports
from app.running.binding import bound
from app.running.processes import redis_running, services
from app.running.servers import LOOPBACK

cli = typer.Typer()

Host = Annotated[str, typer.Option(help="Address to listen on; beyond this machine an API key is needed.")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="Port to listen on; 0: a free one.")]
Inherited = Annotated[int | None, typer.Option(hidden=True, help="An inherited, listening socket.")]
WithStdin = Annotated[bool, typer.Option("--exit-with-stdin", hidden=True)]


@cli.command(rich_help_panel=SERVE)
def serve(
    host: Host = LOOPBACK,
    port: Port = ports.API,
    metrics_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port for the worker's Prometheus metrics; 0: a free one.")
    ] = 0,
) -> None:
    """Serve research jobs over HTTP with everything on this machine: API, worker, MCP servers, store."""
    settings = loaded()
    with services(settings) as (redis_url, addresses):
        from app.running.supervisor import supervise  # noqa: PLC0415  heavy

        def introduce(url: str, missing: str) -> None:
            from app.commands.doctor import introduce  # noqa: PLC0415  heavy, and nothing waits for it

            introduce(settings, redis_url, addresses, url, missing)

        with bound(host, port, "--host, --port") as listener:
            supervise(settings, redis_url, addresses, listener, metrics_port, _say, introduce)


@cli.command(rich_help_panel=SERVE)
def api(
    host: Host = LOOPBACK, port: Port = ports.API, fd: Inherited = None, exit_with_stdin: WithStdin = False
) -> None:
    """Serve the HTTP API until stopped; workers run the jobs."""
    settings = loaded()
    with redis_running(settings) as redis_url:
        from app.commands.programs import api as program  # noqa: PLC0415  heavy

        with bound(host, port, "--host, --port") if fd is None else socket.socket(fileno=fd) as listener:
            program(settings, redis_url, listener, _say, exit_with_stdin=exit_with_stdin)


@cli.command(rich_help_panel=SERVE)
def worker(
    metrics_host: Annotated[str, typer.Option(help="Address for Prometheus metrics.")] = LOOPBACK,
    metrics_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Port for Prometheus metrics; default: none, 0: a free one.")
    ] = None,
    exit_with_stdin: WithStdin = False,
) -> None:
    """Run jobs from the queue until stopped; running jobs are then handed over."""
    settings = loaded()
    with services(settings) as (redis_url, addresses):
        from app.commands.programs import worker as program  # noqa: PLC0415  heavy

        metrics = (metrics_host, metrics_port) if metrics_port is not None else None
        program(settings, redis_url, addresses, _say, exit_with_stdin=exit_with_stdin, metrics=metrics)


def _say(message: str) -> None:
    typer.echo(message, err=True)
