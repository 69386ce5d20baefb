"""`python -m pipeline` is the same program as `spanfold`: how one role starts another without looking for a script."""

from pipeline.cli import main

if __name__ == "__main__":
    main()
