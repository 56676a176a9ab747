"""The ways to tune that Protégé brings along; `gradient` has what they share."""
