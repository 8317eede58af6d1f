"""The deploys: `plan` decides what a host gets, one module a service declares it."""
