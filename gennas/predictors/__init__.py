"""Predictors: metrics of an arch, decided or partly masked, with their uncertainty."""
