"""Coverage-guided fuzzing of the package reader: `python tests/fuzz/package_reader.py -max_total_time=60 CORPUS`.

The options are libFuzzer's. It writes inputs of new coverage into the first corpus directory it is given, so give it
one of your own before the committed `tests/fuzz/corpus`.
"""

import sys

import atheris

with atheris.instrument_imports(include=["portal.packages"]):
    from tests.fuzz import target

if __name__ == "__main__":
    atheris.Setup(sys.argv, target.one_input)
    atheris.Fuzz()
