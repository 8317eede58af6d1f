"""One module per service, with the verbs `configured` and `running`."""
