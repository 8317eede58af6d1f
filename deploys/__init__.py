"""The deploys, in floors: checks → services | containers → synology → host → plan | remote."""
