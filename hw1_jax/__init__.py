"""hw1_jax: deep vs. shallow, optimization and generalization, in JAX."""
