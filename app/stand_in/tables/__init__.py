"""Questions over tables, answered by one SELECT: what the tables hold, what a question asks of them, what they answer.

- schema.py: the columns that a tool describes, and the look for values that a question may name
- marks.py: the names and values in a question; reading.py: what it asks, word by word; figures.py: what is computed
- select.py: the statement; answers.py: what to ask next, the claims of its result, and why there are none
"""
