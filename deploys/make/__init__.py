"""What the Makefile runs on the operator's machine, partly before anything is installed: standard library only."""
