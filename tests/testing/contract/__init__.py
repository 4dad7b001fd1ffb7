"""One suite of raw scenarios, collected over the scripted kernel and over the real one.

Each module holds tests over the fixture ``world``; who collects them provides it.
"""

import pytest

pytest.register_assert_rewrite(
    *(
        f"tests.testing.contract.{name}"
        for name in (
            *("batches", "chains", "conntrack", "dumps", "elements", "intervals", "objects"),
            *("ownership", "peer", "rules", "sets", "tables"),
        )
    )
)
