"""What every store must do, as tests that run over each of them."""

import pytest

pytest.register_assert_rewrite("tests.testing.contract_store.words")
