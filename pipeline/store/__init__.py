"""ClickHouse: tables and views as SQL files, typed rows, inserts that never lose a row, and reads of the archive."""
