"""Dead letters from the command line: looked at, sent again, marked as not worth it."""
