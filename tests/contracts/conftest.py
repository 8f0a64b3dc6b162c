"""Property tests draw the same examples every time, whoever runs them."""

from hypothesis import settings

settings.load_profile("ci")
