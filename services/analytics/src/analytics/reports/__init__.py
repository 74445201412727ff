"""`cellkeeper report`: dossiers again, capacities with their trend, a month of a site, proof of what is printed."""
