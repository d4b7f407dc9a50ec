"""What the end-to-end tests stand on: real servers, the three programs, and comparing tables by content."""
