"""``python -m blindsr_jax.cli``: the same as ``blindsr``."""

import sys

from blindsr_jax.cli import main

sys.exit(main())
