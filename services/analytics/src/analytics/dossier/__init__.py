"""The dossier of a discharge: numbers, a verdict that can be proven, a PDF for the auditor, CSV files for everybody."""
