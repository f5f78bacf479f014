"""LAPACK's decompositions for functions that run at several places at once.

Copies under vmap are computed one after another on CPU: `devices.one_by_one` says why.
"""

import jax
import jax.numpy as jnp

from hw1_jax import devices

# Symmetric [n, n] -> eigenvalues [n], ascending, and eigenvectors as columns [n, n].
eigh = devices.one_by_one(jnp.linalg.eigh)

# Positive definite [n, n], of which the lower triangle is read -> the lower factor, for
# `solve`: what stands above the diagonal is left as it was.
factor = devices.one_by_one(lambda matrix: jax.scipy.linalg.cho_factor(matrix, lower=True)[0])

# (the lower factor of A [n, n], b [n] or [n, m]) -> x with A x = b.
solve = devices.one_by_one(lambda lower, b: jax.scipy.linalg.cho_solve((lower, True), b))

# [m, n], m >= n -> Q [m, n] of its QR decomposition, an orthonormal basis of its columns; R [n, n].
basis = devices.one_by_one(lambda matrix: jnp.linalg.qr(matrix)[0])
triangle = devices.one_by_one(lambda matrix: jnp.linalg.qr(matrix, mode="r"))
