"""Reads of workflow: who is who (`people`), and what work there is (`work`)."""
