"""The members of tar and zip archives, read as they come."""
