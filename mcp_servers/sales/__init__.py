"""The company's own sales data: schema, read-only SQL and prepared questions."""
