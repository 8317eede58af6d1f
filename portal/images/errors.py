"""Why an image was not converted."""

REFUSED, DISK_FULL = 3, 4  # exit statuses of portal.images.child


class ImageRejected(ValueError):
    """The image is refused: `code` is INVALID_IMAGE or INVALID_DIMENSIONS, the message a sentence for the developer."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DecoderLost(RuntimeError):
    """The process that decodes did not start, or something else than the image ended it: a retry may succeed."""
