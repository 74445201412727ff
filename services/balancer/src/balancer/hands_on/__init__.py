"""What people ask of balancing from the command line: how it is, a wish, and a report that proves itself."""
