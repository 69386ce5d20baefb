"""What the rows must be, said as plainly as possible and sharing no code with the fold: tests compare the two."""
