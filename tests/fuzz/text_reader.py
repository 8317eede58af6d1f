"""Coverage-guided fuzzing of JSON, manifests, names, headers, forms and CBOR, as `tests.fuzz.package_reader` does it.

The committed corpus is `tests/fuzz/text_corpus`: the first byte of an input chooses its parser.
"""

import sys

import atheris

with atheris.instrument_imports(include=["portal.packages", "portal.http", "portal.store.plain_cbor", "multipart"]):
    from tests.fuzz import text_target

if __name__ == "__main__":
    atheris.Setup(sys.argv, text_target.one_input)
    atheris.Fuzz()
