"""A job's report in its forms: one document, shown as HTML, PDF and Word."""
