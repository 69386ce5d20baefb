"""`spanfold replay`: rows made anew from archived events, by the code and the books that hold now.

run.py is the order of work; scope.py says which traces, fold.py makes their rows, write.py writes them, runs.py
remembers how far that has come. shadow.py keeps the shadow tables, compare.py tells them from the live ones, swap.py
brings their rows into the live ones. source.py moves records between the archive, the topic and folders.
"""
