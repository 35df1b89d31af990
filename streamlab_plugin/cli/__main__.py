"""``python -m streamlab_plugin.cli``: the ``streamlab`` command without its script."""

from __future__ import annotations

from streamlab_plugin.cli.main import main

if __name__ == "__main__":
    main()
