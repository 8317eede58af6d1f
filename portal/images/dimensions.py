"""How large the images are that the store keeps."""

ICON_SIZES = (32, 64, 128)
SCREENSHOT_SIZES = ((1280, 720), (720, 1280))
