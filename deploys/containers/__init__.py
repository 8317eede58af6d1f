"""Any host with Docker: its engine, the images of a release, its containers."""
