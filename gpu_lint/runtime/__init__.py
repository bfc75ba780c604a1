"""The runtime half: what programs did to the GPUs of this machine, and whether a policy was kept.

Unlike the rest of gpu-lint, its commands run code: ``trace`` and ``verify`` the user's programs.
``check``, ``fix``, ``graph`` and ``rule`` never import it.
"""
