"""``python -m autotune_bundle``: the ``autotune`` command of this interpreter."""

from autotune_bundle import main

main()
