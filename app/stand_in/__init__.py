"""A model server that is rules, not a language model.

It speaks the OpenAI wire format on a local port, so that the whole application runs with no key: it plans, calls
the tools it is offered and writes only from what they return. It knows the words of the trade (vocabulary.py) and
none of the data.

- server.py, wire.py, completion.py, billing.py, embeddings.py, schema_walk.py: the protocol, and what it costs
- faults/: how a model misbehaves, for drills and tests
- roles.py: which rules answer a request; packets.py and turns.py: what they are given and how they call tools
- reading.py, periods.py, places.py, vocabulary.py: understanding a question; unread.py, slots.py: what of it
  cannot be understood, which becomes a gap
- planner.py, sales*.py, researcher.py, analyst.py, writer.py: the rules of each role; generalist.py: all in one
- claims.py: the sentences they write, and how to read them back
"""
