"""`make mutations`: the product broken in one place at a time, and the tests that must notice it."""
