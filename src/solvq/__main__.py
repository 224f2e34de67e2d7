"""``python -m solvq`` is the command ``solvq``."""

from solvq.cli import main

if __name__ == "__main__":
    main()
