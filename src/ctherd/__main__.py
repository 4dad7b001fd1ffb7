"""``python -m ctherd`` is the command line."""

from ctherd.cli.main import main

if __name__ == "__main__":
    main()
