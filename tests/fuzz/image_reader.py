"""Coverage-guided fuzzing of images: `python -m tests.fuzz.image_reader -max_total_time=60 CORPUS`.

The options are libFuzzer's, as of `tests.fuzz.package_reader`; the committed corpus is `tests/fuzz/image_corpus`.
"""

import sys

import atheris

with atheris.instrument_imports(include=["portal.images", "PIL"]):
    from tests.fuzz import image_target

if __name__ == "__main__":
    atheris.Setup(sys.argv, image_target.one_input)
    atheris.Fuzz()
