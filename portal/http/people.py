"""Errors for people: when a client gets a page instead of `application/problem+json`, and what the page advises.

The deploys write nginx's own pages from the same tables, so this module imports nothing beyond the standard library.
"""

PROGRAM_PATHS = ("/api/", "/assets/", "/catalogue/", "/static/")
"""Addresses that answer every client with problems."""

HINTS = {
    "INVALID_REQUEST": "Check the address. If a link led here, the link is broken.",
    "FORBIDDEN": "If you should have access, ask the operator of this store.",
    "NOT_FOUND": "It may have been removed, or never published. Check the address, or search for the app.",
    "FILE_NOT_FOUND": "Tell the operator of this store; until then, another version of the app may be there.",
    "METHOD_NOT_ALLOWED": "Go back, and use the links and buttons of the page.",
    "NOT_IMPLEMENTED": "Open the address in a browser, or see the description of the API.",
    "LENGTH_REQUIRED": "Send the file from the page in the console, or with mosis push.",
    "PRECONDITION_FAILED": "Reload the page that you came from, then try again.",
    "FILE_TOO_LARGE": "Go back and choose a smaller file.",
    "URI_TOO_LONG": "Shorten the address, or what you searched for.",
    "RANGE_NOT_SATISFIABLE": "Delete the part that was downloaded, then download the file again.",
    "HEADERS_TOO_LARGE": "Delete the cookies of this site in your browser, then try again.",
    "QUOTA_EXCEEDED": "Delete what is no longer needed, or ask the operator of this store for a larger quota.",
    "RATE_LIMITED": "Wait a few minutes, then try again.",
    "INTERNAL_ERROR": "Try again; if it fails again, tell the operator of this store.",
    "HTTP_VERSION_NOT_SUPPORTED": "Use a current browser, or another network if a proxy is between.",
    "STORAGE_FULL": "Tell the operator of this store. Nothing that is in it is affected.",
    "STORAGE_ERROR": "Tell the operator of this store.",
    "UNAVAILABLE": "Wait a moment, then reload the page. If you sent a form, go back and send it again.",
}
"""What a reader may do about a problem, by its code."""


def reads_pages(accept: str, path: str) -> bool:
    """Whether a request is a person's: its client prefers HTML, and the address is not one for programs."""
    return "text/html" in accept and not path.startswith(PROGRAM_PATHS)
