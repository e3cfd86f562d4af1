"""The classifier over HTTP: POST an image to /upload_image, read whose signature it is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, File, HTTPException, UploadFile
from pydantic import BaseModel, Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sigedge import __version__
from sigedge.systems.signauth.predict import Prediction, SignatureClassifier
from sigedge_runtime.errors import ImageError, QualityError

MAX_UPLOAD_BYTES = 10 * 2**20
MAX_PIXELS = 24_000_000
"""A photo of a phone; an image that unpacks to more is refused by its header, before a pixel is decoded."""


class Answer(BaseModel):
    """What the classifier says of an image."""

    file: str = Field(description="Name of the uploaded file.")
    known: bool = Field(description="Whether it is the signature of somebody the classifier knows.")
    label: str | None = Field(description="Whose signature it is; null when it is nobody's.")
    nearest: str = Field(description="The most probable of the people known, rejected or not.")
    probability: float = Field(description="Probability of `nearest`, 0 to 1.")
    score: float = Field(description="Log-odds of anybody known against nobody.")
    probabilities: dict[str, float] = Field(description="Probabilities of all people known.")
    issues: list[str] = Field(description="What is wrong with the image, which could be used nevertheless.")


class Problem(BaseModel):
    """Why an image could not be classified."""

    detail: str = Field(description="One sentence with the remedy.")


class Health(BaseModel):
    """Whether the service answers, and with which model."""

    status: str
    model: str
    classes: int


def create_app(classifier: SignatureClassifier, *, max_upload: int = MAX_UPLOAD_BYTES) -> FastAPI:
    """The service around a classifier; documented at ``/docs``, and for programs at ``/openapi.json``.

    Args:
        classifier: stays open as long as the service runs.
        max_upload: largest request in bytes; what is larger is refused while it is being received.
    """
    app = FastAPI(
        title="sigedge signauth",
        version=__version__,
        summary="Whose handwritten signature is it, of the people known, or nobody's?",
    )
    app.add_middleware(LimitRequestSize, limit=max_upload)
    problems: dict[int | str, dict[str, Any]] = {
        413: {"model": Problem, "description": "The upload is too large."},
        415: {
            "model": Problem,
            "description": "The content is no PNG, JPEG, BMP, TIFF or WebP image, or one of too many pixels.",
        },
        422: {"description": "No file was sent, or the image shows no usable signature."},
    }

    # Not async: the network runs for milliseconds, in a thread of the pool, and holds up nobody meanwhile.
    @app.post("/upload_image", responses=problems)
    def upload_image(file: Annotated[UploadFile, File(description="A scan or photo of one signature.")]) -> Answer:
        """Classify one signature."""
        found = _classify(classifier, file.file.read())
        return Answer(file=file.filename or "", known=found.label is not None, **found.to_dict())

    @app.get("/health")
    def health() -> Health:
        """Answer that the service runs."""
        return Health(status="ok", model=classifier.name, classes=len(classifier.labels))

    return app


def _classify(classifier: SignatureClassifier, content: bytes) -> Prediction:
    """The prediction for the bytes of a file.

    Raises:
        HTTPException: the content is no image (415) or shows no usable signature (422).
    """
    try:
        # What a file says of itself by name and type is not believed: its header and its pixels are read.
        return classifier.classify(content, max_pixels=MAX_PIXELS)
    except QualityError as error:
        raise HTTPException(422, str(error)) from None
    except ImageError as error:
        raise HTTPException(415, str(error)) from None


class LimitRequestSize:
    """ASGI middleware that ends a request of too many bytes with 413, whatever its headers promise.

    Args:
        app: what it stands before.
        limit: bytes of the request's body, the envelope of its parts included.
    """

    def __init__(self, app: ASGIApp, limit: int) -> None:
        self.app, self.limit = app, limit

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request on, counting what arrives of its body."""
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.limit:
                sentence = f"The upload is larger than {self.limit / 2**20:g} MB; crop the image to the signature."
                raise HTTPException(413, sentence)
            return message

        await self.app(scope, counted, send)
