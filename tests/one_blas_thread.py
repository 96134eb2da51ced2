"""Loaded before other plugins (pyproject.toml): pytest-randomly loads NumPy, whose BLAS then reads how many threads."""

from mcp_servers.analytics.forecasting import use_one_thread

use_one_thread()
