"""Coverage-guided fuzzing of one target with atheris: python benchmarks/fuzz/harness.py TARGET [libFuzzer options]

TARGET is a key of `sigedge.fuzzing.targets.TARGETS`. Paths through sigedge_runtime are what guides it; the decoders
within OpenCV are not instrumented, so they see what the corpus and its mutations bring. A file that crashes or raises
is kept in out/fuzz/TARGET/.
"""

from __future__ import annotations

import sys
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    sys.exit(
        'Error: atheris is not installed; pip install "sigedge[fuzz]" brings it (Linux x86-64, Python 3.11 or newer).'
    )

with atheris.instrument_imports(include=["sigedge_runtime"]):
    from sigedge.fuzzing.corpus import write_corpus, write_dictionary
    from sigedge.fuzzing.targets import TARGETS


def main(target: str, options: list[str]) -> None:
    folder = Path("out") / "fuzz" / target
    write_corpus(target, folder / "corpus")
    write_dictionary(folder / "words.dict")
    run = TARGETS[target]
    settings = [f"-artifact_prefix={folder}/", f"-dict={folder}/words.dict", "-timeout=30", "-rss_limit_mb=2048"]
    atheris.Setup([sys.argv[0], *settings, *options, str(folder / "corpus")], lambda data: run(bytes(data)) and None)
    atheris.Fuzz()


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"Usage: python benchmarks/fuzz/harness.py {'|'.join(TARGETS)} [libFuzzer options]")
    main(sys.argv[1], sys.argv[2:])
