"""What was found is told by where it was planted, and chance by what it is."""

from __future__ import annotations

from streamlab_plugin.canary.planting import plantings
from streamlab_plugin.canary.sink import Search, Sink

PLANTED = list(plantings("http", 1, 20))


class TestSearch:
    """`Search`."""

    def test_find(self) -> None:
        """A find names planting, field and sink, and the shortest way to read it."""
        one = PLANTED[0]
        email = one.values["email"]
        encoded = "".join(f"%{byte:02x}" for byte in email.encode())
        (find,) = Search(PLANTED).in_sinks(
            [Sink("log", [encoded.encode(), b"", email.encode(), encoded.encode()])]
        )
        assert (one, "email", "log", "") == find

    def test_other_forms(self) -> None:
        """An account in groups of four, and a phone number as a number, are the same values."""
        values = PLANTED[0].values
        card = values["card"]
        data = f"{card[:4]} {card[4:8]} {card[8:12]} {card[12:]}, {values['phone'][1:]}".encode()
        assert {"card", "phone"} == {find.field for find in Search(PLANTED).in_sinks([Sink("log", [data])])}

    def test_vocabulary(self) -> None:
        """A name that consists of words that error texts may keep proves nothing; one with others does."""
        one = PLANTED[0]._replace(
            values={"full_name": "Field June-Connection", "street": "Field 123456, June"}
        )
        search = Search([one], frozenset({"field", "june", "connection"}))
        assert [(one, "street")] == search.owners

    def test_short_values(self) -> None:
        """A value of less than eight characters is not searched for."""
        one = PLANTED[0]._replace(values={"full_name": "陈瑜", "street": "A Street"})
        assert [(one, "street")] == Search([one]).owners
