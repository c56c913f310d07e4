"""Data: toys with known densities, real images, verified downloads."""
