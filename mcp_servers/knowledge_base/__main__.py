"""`python -m mcp_servers.knowledge_base`: the knowledge base over streamable HTTP or stdio."""

import argparse
import os
from pathlib import Path

from mcp_servers.base import serving
from mcp_servers.base.formats import KINDS
from mcp_servers.base.server import Server
from mcp_servers.knowledge_base.embeddings import DEFAULT_MODEL, Embeddings
from mcp_servers.knowledge_base.server import REFRESH_S, build

KEY = "TOLLGATE_EMBEDDINGS_KEY"  # of the endpoint, where it is Tollgate's gate; else OPENAI_API_KEY


def main() -> None:
    """Read the options and serve."""
    options = serving.parser("knowledge_base", "Market documents over MCP: search and read.")
    options.add_argument("--data", type=Path, required=True, help=f"folder of {KINDS} files")
    serving.takes_url(options, "embeddings", "OpenAI-compatible endpoint for semantic search (default: none)")
    options.add_argument("--embedding-model", default=DEFAULT_MODEL, help="its model (default: %(default)s)")
    options.add_argument(
        "--data-dir",
        type=Path,
        default=Path(".data"),
        help="folder that keeps what was read, and vectors (default: %(default)s)",
    )
    options.add_argument(
        "--refresh-s",
        type=float,
        default=REFRESH_S,
        help="seconds between checks for changed documents (default: %(default)s)",
    )
    serving.run(_build, options.parse_args())


def _build(options: argparse.Namespace) -> Server:
    url = serving.url(options, "embeddings")
    embeddings = Embeddings(url, options.embedding_model, options.data_dir, os.environ.get(KEY)) if url else None
    return build(options.data, embeddings, options.refresh_s, options.data_dir)


if __name__ == "__main__":
    main()
