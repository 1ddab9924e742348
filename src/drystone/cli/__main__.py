"""`python -m drystone.cli` is `drystone`."""

from drystone.cli.app import main

if __name__ == "__main__":
    main()
