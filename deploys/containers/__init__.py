"""Any host with Docker: its engine, the images of a release, the containers."""
