"""Property tests draw the same examples every time and leave nothing on disk."""

from hypothesis import settings

settings.load_profile("ci")
