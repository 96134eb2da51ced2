"""Questions over tables, answered by one SELECT: what the tables hold, what a question asks of them, what they answer.

- schema.py: the columns that a tool describes, and the look for values that a question may name
- reading.py: a question word by word; figures.py: what is counted or computed of which column
- select.py: the statement, and the findings of its result
"""
