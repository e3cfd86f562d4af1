"""A soak: threads verify while one enrols, for as long as one likes; errors, lost enrolments and memory are counted."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sigedge_runtime.errors import DataError, SigedgeError
from sigedge_runtime.verifier import Verifier

Image = NDArray[np.uint8]

USERS = 40
"""Users that the enrolling thread goes round; it replaces the templates of one while others read them."""
PER_ENROLMENT = 2
MOST_TEMPLATES = 12
_PAGE = 4096


@dataclass
class Soak:
    """What happened.

    Attributes:
        seconds: how long it ran.
        threads: verifying threads.
        verifications: verdicts given.
        enrolments: enrolments that the store confirmed.
        errors: texts of errors, each with how often it came; a soak without defects has none.
        lost: users whose templates are not what the last confirmed enrolment left, with a word on each.
        memory: resident memory over time, (seconds, MB).
    """

    seconds: float = 0.0
    threads: int = 0
    verifications: int = 0
    enrolments: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    memory: list[tuple[float, float]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a result file."""
        return {**vars(self), "errors": dict(self.errors), **memory_growth(self.memory)}


def memory_growth(memory: Sequence[tuple[float, float]]) -> dict[str, float | None]:
    """Slope of memory after the first third, in which caches fill, MB a minute, by the median of all pairs' slopes.

    Source: P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", 1968. Beside it the memory at
    the start of that part and at the end; None where there are fewer than three samples.
    """
    warm = np.array(memory[len(memory) // 3 :], np.float64).reshape(-1, 2)
    if len(warm) < 3:
        return {"mb_per_minute": None, "warm_mb": None, "end_mb": None}
    one, other = np.triu_indices(len(warm), 1)
    slopes = (warm[other, 1] - warm[one, 1]) / (warm[other, 0] - warm[one, 0])
    return {"mb_per_minute": float(np.median(slopes)) * 60, "warm_mb": float(warm[0, 1]), "end_mb": float(warm[-1, 1])}


def soak(
    verifier: Verifier,
    signers: Sequence[Sequence[Image]],
    seconds: float,
    *,
    threads: int = 8,
    sample_every: float = 1.0,
    report: Callable[[Soak], None] | None = None,
) -> Soak:
    """Verify from several threads while one more enrols.

    Args:
        verifier: with the store to use; users called ``soak-N`` are enrolled in it.
        signers: genuine signatures of each signer, three or more, arrays that `read_image` takes.
        seconds: how long.
        threads: that verify.
        sample_every: seconds between two looks at the memory.
        report: called after each look.

    Raises:
        DataError: there are too few signatures.
    """
    if not signers or min(map(len, signers)) <= PER_ENROLMENT:
        raise DataError(f"A soak needs signers with {PER_ENROLMENT + 1} signatures or more; draw more of them.")
    run = _Run(verifier, signers, threads)
    for user in range(USERS):
        run.enrol_next(user)
    workers = [threading.Thread(target=run.verify_on, args=(number,)) for number in range(threads)]
    workers.append(threading.Thread(target=run.enrol_on))
    began = time.monotonic()
    for worker in workers:
        worker.start()
    try:
        while (passed := time.monotonic() - began) < seconds:
            run.result.memory.append((passed, resident_mb()))
            if report is not None:
                report(run.result)
            time.sleep(min(sample_every, max(0.0, seconds - passed)))
    finally:
        run.stop.set()
        for worker in workers:
            worker.join()
    run.result.seconds = time.monotonic() - began
    run.look_for_lost()
    return run.result


def resident_mb() -> float:
    """Resident memory of this process, MB.

    Raises:
        DataError: the system does not tell.
    """
    try:
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE / 2**20
    except (OSError, IndexError, ValueError):
        raise DataError("This system has no /proc/self/statm; run the soak on Linux.") from None


class _Run:
    """One soak while it runs; each counter has one writer or is changed under the lock."""

    def __init__(self, verifier: Verifier, signers: Sequence[Sequence[Image]], threads: int) -> None:
        self.verifier, self.signers = verifier, signers
        self.result = Soak(threads=threads)
        self.stop = threading.Event()
        self.expected: dict[str, int] = {}
        self._lock = threading.Lock()

    def verify_on(self, number: int) -> None:
        """Verify until told to stop."""
        draw = np.random.default_rng(number)
        while not self.stop.is_set():
            user = int(draw.integers(USERS))
            images = self.signers[int(draw.integers(len(self.signers)))]
            image = images[int(draw.integers(len(images)))]
            # One in ten looks at everybody.
            call = self._identify if draw.random() < 0.1 else self._verify
            done = self._attempt(lambda call=call, user=user, image=image: call(user, image))  # type: ignore[misc]
            with self._lock:
                self.result.verifications += done

    def enrol_on(self) -> None:
        """Enrol until told to stop."""
        turn = 0
        while not self.stop.is_set():
            self.enrol_next(turn)
            turn += 1

    def enrol_next(self, turn: int) -> None:
        """Add to a user's templates, and replace them when there are many."""
        user = turn % USERS
        name, images = f"soak-{user}", self.signers[user % len(self.signers)]
        chosen = [images[(turn + i) % len(images)] for i in range(PER_ENROLMENT)]
        full = self.expected.get(name, 0) >= MOST_TEMPLATES or name not in self.expected

        def enrol() -> None:
            self.verifier.enroll(name, chosen, replace=full)
            self.expected[name] = PER_ENROLMENT + (0 if full else self.expected[name])

        self.result.enrolments += self._attempt(enrol)

    def look_for_lost(self) -> None:
        """Hold the store against every enrolment that it confirmed."""
        found = {user.name: user.templates for user in self.verifier.store.users()}
        for name, count in sorted(self.expected.items()):
            if found.get(name) != count:
                self.result.lost.append(f"{name} has {found.get(name, 0)} templates instead of {count}")

    def _verify(self, user: int, image: Image) -> None:
        self.verifier.verify(f"soak-{user}", image)

    def _identify(self, _: int, image: Image) -> None:
        self.verifier.identify(image)

    def _attempt(self, call: Callable[[], object]) -> bool:
        try:
            call()
        except Exception as error:  # whatever it is, it is counted, and the soak goes on
            kind = "" if isinstance(error, SigedgeError) else "undocumented "
            with self._lock:
                self.result.errors[f"{kind}{type(error).__name__}: {error}"[:200]] += 1
            return False
        return True
