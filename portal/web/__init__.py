"""Web pages: what people see of the store, rendered on the server; they work without JavaScript."""
