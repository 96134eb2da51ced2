"""A model server that is rules, not a language model.

It speaks the OpenAI wire format on a local port, so that the whole application runs with no key: it plans, calls
the tools it is offered and writes only from what they return.

- server.py, wire.py, completion.py, billing.py, embeddings.py, schema_walk.py: the protocol, and what it costs
- dialects/: the servers it can be; faults/: how a model misbehaves, for drills and tests
- roles.py: whose rules answer a request; packets.py, turns.py, results.py: what they are given, how they call tools,
  and what these return; words.py, periods.py: what a text says
- tables/: one question over tables that a tool describes, as one SELECT
- policy/: the rules for any team and any tools; those that know the sample are the sample's own (`sample.POLICY`)
"""
