"""`python -m bus_gateway`."""

from bus_gateway.main import main

main()
