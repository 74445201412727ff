"""Grafana boards, generated from the storage table of the contract."""
