"""`python -m prunegap.cli` is the command `prunegap`."""

from prunegap.cli import main

if __name__ == "__main__":
    main()
