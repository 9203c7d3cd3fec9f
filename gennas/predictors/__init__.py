"""Predictors: metrics of decided and partly masked archs, with uncertainty."""
