"""What more than one tool uses. Python 3.9+ and its standard library, as everything in this package."""
