"""Without this, a port could lack a part of a word, or be written in the wrong direction."""

from amaranth.lib.wiring import In, Out

from backspike.hw.memory.port import ReadPort, WritePort


def test_ports_have_what_they_say():
    read, write = ReadPort(width=24), WritePort(width=24, granules=3)
    assert read.members["data"].shape == 24
    assert write.members["mask"].shape == 3
    flows = [{name: member.flow for name, member in each.members.items()} for each in (read, write)]
    assert flows == [
        {"en": Out, "addr": Out, "data": In, "ready": In},
        {"en": Out, "addr": Out, "data": Out, "mask": Out, "ready": In},
    ]
