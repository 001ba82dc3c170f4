"""Fitting the models of risk, offline: nothing here runs on the worker. Needs the extra [train]."""
