"""Importing it initialises the driver (cuda-facts section 1)."""

from _fakecuda import DRIVER

DRIVER.framework("torch_geometric")
DRIVER.initialise("import torch_geometric")
