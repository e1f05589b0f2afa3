# Copyright (c) 2026, the vmstation.cluster contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What wakes a host: a table of frames."""

from __future__ import annotations

import pytest

from tests.lab.magic import addresses_called

MAC = bytes.fromhex("b8ac6f7e6c9d")
OTHER = bytes.fromhex("d09466 30d663")
SYNC = b"\xff" * 6
UDP_BROADCAST = b"\xff" * 6 + bytes.fromhex("020000000001 0800") + b"\x45" + bytes(27)
ETHER_WAKE = MAC + bytes.fromhex("020000000001 0842")


@pytest.mark.parametrize(
    ("frame", "called"),
    [
        pytest.param(UDP_BROADCAST + SYNC + MAC * 16, ["b8:ac:6f:7e:6c:9d"], id="UDP broadcast"),
        pytest.param(ETHER_WAKE + SYNC + MAC * 16, ["b8:ac:6f:7e:6c:9d"], id="EtherType 0x0842"),
        pytest.param(UDP_BROADCAST + SYNC + MAC * 16 + b"secret", ["b8:ac:6f:7e:6c:9d"], id="SecureOn password after it"),
        pytest.param(UDP_BROADCAST + b"noise" + SYNC + MAC * 16 + bytes(40), ["b8:ac:6f:7e:6c:9d"], id="anywhere in the payload"),
        pytest.param(UDP_BROADCAST + SYNC + MAC * 20, ["b8:ac:6f:7e:6c:9d"], id="more repetitions than needed"),
        pytest.param(UDP_BROADCAST + b"\xff\xff" + SYNC + MAC * 16, ["b8:ac:6f:7e:6c:9d"], id="a longer run of 0xff before it"),
        pytest.param(UDP_BROADCAST + SYNC + MAC * 15 + SYNC + MAC * 16, ["b8:ac:6f:7e:6c:9d"], id="an incomplete one before it"),
        pytest.param(
            UDP_BROADCAST + SYNC + OTHER * 16 + SYNC + MAC * 16, ["d0:94:66:30:d6:63", "b8:ac:6f:7e:6c:9d"], id="two hosts in one frame"
        ),
        pytest.param(UDP_BROADCAST + SYNC + MAC * 15, [], id="15 repetitions"),
        pytest.param(UDP_BROADCAST + SYNC + MAC * 15 + MAC[:5], [], id="the last byte cut off"),
        pytest.param(UDP_BROADCAST + SYNC + MAC * 8 + OTHER + MAC * 8, [], id="another address amid"),
        pytest.param(UDP_BROADCAST + SYNC[:5] + MAC * 16, [], id="five 0xff"),
        pytest.param(UDP_BROADCAST + b"\xff\xff\xfe\xff\xff\xff" + MAC * 16, [], id="a wrong synchronization stream"),
        pytest.param(UDP_BROADCAST + SYNC + b"\0" + MAC * 16, [], id="a byte between"),
        pytest.param(UDP_BROADCAST + MAC * 16, [], id="no synchronization stream"),
        pytest.param(UDP_BROADCAST, [], id="no payload"),
        pytest.param(b"", [], id="nothing"),
    ],
)
def test_a_frame_calls_an_address_by_six_ff_and_sixteen_times_itself(frame: bytes, called: list[str]) -> None:
    assert addresses_called(frame) == called
