"""MCP server: growth, CAGR, shares, seasonality, forecasts, comparisons and charts of a series."""
