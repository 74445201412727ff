"""Drivers: what reads batteries, behind `bus_gateway.driver.Driver`."""
