"""How the portal is served: granian, its workers, and what they share."""
