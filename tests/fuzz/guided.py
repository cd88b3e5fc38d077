"""Coverage-guided fuzzing with atheris: it keeps an input that takes a way through the code nobody took.

python -m tests.fuzz.guided decoder build/fuzz-corpus/decoder tests/fuzz/corpus/decoder -max_total_time=60

What stands behind the target goes to libFuzzer: folders of inputs, of which the first one gets the new
ones, and its options. It runs in an environment of its own, since atheris is not there for every Python.
"""

import sys

import atheris

with atheris.instrument_imports(include=["tms_bridge", "tms_events"]):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Fuzz one target until libFuzzer has enough, or something goes wrong."""
    target = TARGETS[sys.argv.pop(1)]
    atheris.Setup(sys.argv, target.judge)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
