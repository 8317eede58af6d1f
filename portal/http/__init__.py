"""HTTP: routes and their declarations, authentication, problems, and one responder for files."""
