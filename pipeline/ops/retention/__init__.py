"""How long things stay: what holds, what changes it, and rows that were written before a change."""
