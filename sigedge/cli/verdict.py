"""What `sigedge verify` does once it is known what was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sigedge.cli.console import Output
from sigedge.cli.guard import OK, REJECTED
from sigedge.cli.inputs import expand_images, require_store

if TYPE_CHECKING:
    from sigedge_runtime import Verdict, Verifier


@dataclass(frozen=True)
class Request:
    """The arguments of `sigedge verify`; threads None takes as many as are fastest here."""

    image: Path
    user: str | None = None
    store: Path | None = None
    key: str | None = None
    reference: list[Path] | None = None
    bundle: Path | None = None
    engine: str = "auto"
    precision: str | None = None
    operating_point: str | None = None
    threads: int | None = 1
    json: str | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it names either references, or a user and a store."""
        if self.reference:
            return not self.user and self.store is None
        return bool(self.user) and self.store is not None


def decide(request: Request) -> int:
    """Verify and say so; the exit code."""
    from sigedge_runtime import Verifier

    if request.store is not None:
        require_store(request.store)
    with Verifier.open(
        request.bundle,
        engine=request.engine,
        precision=request.precision,
        store=request.store,
        store_key=request.key,
        operating_point=request.operating_point,
        threads=request.threads,
    ) as verifier:
        verdict = _verdict(verifier, request)
        choice, fallbacks = verifier.engine_choice, verifier.engine.fallbacks
    output = Output(request.json)
    _show(output, request.image, verdict)
    for sentence in fallbacks:
        output.say(sentence, "yellow")
    chosen = None if choice is None else choice.to_dict()
    output.result({**verdict.to_dict(), "engine": chosen, "fallbacks": list(fallbacks)})
    return OK if verdict.accepted else REJECTED


def _verdict(verifier: Verifier, request: Request) -> Verdict:
    if request.reference:
        return verifier.compare(expand_images(request.reference), request.image)
    assert request.user is not None
    return verifier.verify(request.user, request.image)


def _show(output: Output, image: Path, verdict: Verdict) -> None:
    word, style = ("ACCEPTED", "bold green") if verdict.accepted else ("REJECTED", "bold red")
    if verdict.sign_again:
        word, style = "SIGN AGAIN", "bold yellow"
    output.say(f"{word}  {image}", style)
    output.say(
        f"score {verdict.score:.3f}, threshold {verdict.threshold:.3f} ({verdict.operating_point}, "
        f"{verdict.references} reference{'s' * (verdict.references != 1)}), "
        f"probability of genuine {verdict.probability:.2f} at equal priors, "
        f"log likelihood ratio {verdict.log_likelihood_ratio:+.1f}, {verdict.timings.total:.1f} ms"
    )
    if verdict.sign_again:
        output.say(f"{verdict.remedy} (quality {verdict.quality_index:.2f} of 1)", "yellow")
    if verdict.quality.issues:
        output.say(f"image quality: {verdict.quality.reasons}", "yellow")
