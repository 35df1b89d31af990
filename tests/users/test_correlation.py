from __future__ import annotations

import os
import uuid

from streamlab_plugin.users.correlation import new_id


class TestNewId:
    def test_is_a_random_uuid(self) -> None:
        """Each id is the hex form of a version 4 UUID."""
        ids = [new_id() for _ in range(200)]
        assert [(one, 4, uuid.RFC_4122) for one in ids] == [
            (uuid.UUID(one).hex, uuid.UUID(one).version, uuid.UUID(one).variant) for one in ids
        ]

    def test_does_not_repeat(self) -> None:
        """Ids differ."""
        assert len({new_id() for _ in range(1_000)}) == 1_000

    def test_differs_after_a_fork(self) -> None:
        """Workers forked by Locust do not repeat each other's ids."""
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.write(writing, new_id().encode())
            os._exit(0)
        assert new_id() != os.read(reading, 32).decode()
        os.wait()
