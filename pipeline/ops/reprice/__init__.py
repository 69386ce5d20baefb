"""`spanfold reprice`: what calls cost by today's books, for rows that were priced by earlier ones.

run.py is the order of work, pieces.py cuts it, rows.py reads, values.py computes (pure), write.py writes.
"""
