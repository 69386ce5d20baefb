"""ClickHouse's engine (chDB) behind ClickHouse's HTTP protocol, for machines without a ClickHouse server.

Start it with `python -m pipeline.local.clickhouse --data DIR --port N`; any ClickHouse HTTP client can use it.
Data flows down this list: `server` (HTTP) -> `protocol` (what is asked) -> `session` (on which connection) ->
`execution` (one statement) -> `engine` (chDB).
"""
