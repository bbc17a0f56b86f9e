"""`python -m flows`, which needs neither the brand nor an installed script."""

from flows.cli import main

if __name__ == "__main__":
    main()
