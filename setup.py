"""Packages for setuptools; everything else stands in pyproject.toml.

The experiments lie beside the package in a checkout, where they are read and added to, and are
installed inside it, as hw1_jax.experiments: nothing else comes to the top of site-packages.
"""

from setuptools import find_packages, setup

setup(
  packages=[
    *find_packages(include=["hw1_jax", "hw1_jax.*"]),
    *(f"hw1_jax.{name}" for name in find_packages(include=["experiments", "experiments.*"])),
  ],
  package_dir={"hw1_jax": "hw1_jax", "hw1_jax.experiments": "experiments"},
  package_data={
    "hw1_jax.report": ["*.j2", "*.css"],
    "hw1_jax.experiments": ["assignment.toml", "flags/*/*.flags", "reported/*"],
  },
)
