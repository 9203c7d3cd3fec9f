"""Masked diffusion over architecture graphs: noise, denoiser, sampler, guidance, and the generator they make."""
