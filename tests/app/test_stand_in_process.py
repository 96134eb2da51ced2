"""The stand-in model as a program of its own."""

import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request

import pytest

COMMAND = [sys.executable, "-m", "app.stand_in"]
SECONDS = 30


def started(listener: socket.socket, *arguments: str) -> subprocess.Popen[bytes]:
    """Serving on an inherited socket until its standard input closes."""
    number = listener.fileno()
    return subprocess.Popen(
        [*COMMAND, "--fd", str(number), "--exit-with-stdin", *arguments],
        pass_fds=[number],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def completion(port: int) -> str:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hello"}]}).encode()
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/chat/completions", data=body)
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return str(json.load(response)["choices"][0]["message"]["content"])


def test_it_serves_on_an_inherited_socket_and_stops_when_its_input_closes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, started(listener) as process:
        assert "not a language model" in completion(listener.getsockname()[1])
        _, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, errors) == (0, b"")


def test_latency_is_waited_before_each_completion() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, started(listener, "--latency-ms", "300") as process:
        completion(listener.getsockname()[1])
        before = time.monotonic()
        completion(listener.getsockname()[1])
        assert time.monotonic() - before >= 0.3
        process.communicate(timeout=SECONDS)


def test_a_port_in_use_is_one_clear_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*COMMAND, "--port", str(port)], capture_output=True, text=True, timeout=SECONDS, check=False
        )
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1:{port} (Address already in use)")
    assert len(done.stderr.splitlines()) == 1


def test_it_imports_nothing_heavy() -> None:
    """It starts with every demo."""
    heavy = "{'langchain_core', 'openai', 'numpy', 'pandas', 'redis', 'mcp', 'langgraph', 'httpx', 'websockets'}"
    script = f"import sys, app.stand_in.__main__; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=SECONDS, check=True)
    assert done.stdout.strip() == "[]"


def test_a_profile_is_chosen_on_the_command_line() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        started(listener, "--profile", "outage") as process,
    ):
        with pytest.raises(urllib.error.HTTPError, match="503") as refused:
            completion(listener.getsockname()[1])
        refused.value.close()
        process.communicate(timeout=SECONDS)


def test_an_unknown_profile_is_refused_with_those_there_are() -> None:
    done = subprocess.run([*COMMAND, "--profile", "mood"], capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 2
    assert "clarify" in done.stderr.splitlines()[-1]


def test_it_stops_although_a_client_waits_for_an_answer_that_never_comes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, started(listener, "--profile", "hang") as process:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as waiting:
            body = b'{"model": "m", "messages": [{"role": "user", "content": "hello"}]}'
            head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            waiting.sendall(head + body)
            while not json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/invoice", timeout=SECONDS))["calls"]:
                pass
            process.communicate(timeout=SECONDS)
    assert process.returncode == 0
