"""What everybody but a friend sends: random requests, broken ones, and those of somebody else's tenant."""
