"""What schemathesis must be told to send: it knows no media type of tus."""

import schemathesis

from portal.http import tus

schemathesis.serializer.alias(tus.CONTENT_TYPE, "application/octet-stream")
