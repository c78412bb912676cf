"""``python -m trignb`` is the console script."""

from trignb.cli import main

if __name__ == "__main__":
    main()
