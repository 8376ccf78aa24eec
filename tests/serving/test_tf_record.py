import struct

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kerasft.serving.status import DATA_LOSS, ServingError
from kerasft.serving.tf_record import masked_crc, read_records, write_records


def framed(record: bytes) -> bytes:
    length = struct.pack("<Q", len(record))
    return length + struct.pack("<I", masked_crc(length)) + record + struct.pack("<I", masked_crc(record))


@pytest.mark.parametrize(
    ("data", "crc"),
    [  # RFC 3720, B.4
        (bytes(32), 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (b"123456789", 0xE3069283),
    ],
)
def test_the_checksum_is_crc_32c_masked(data, crc):
    unmasked = (masked_crc(data) - 0xA282EAD8) & 0xFFFFFFFF
    assert (unmasked >> 17 | unmasked << 15) & 0xFFFFFFFF == crc


@given(records=st.lists(st.binary(max_size=40), max_size=5))
def test_records_are_read_back(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "file"
    path.write_bytes(b"".join(map(framed, records)))
    assert list(read_records(path)) == records


@given(data=st.data())
def test_a_changed_or_missing_byte_is_data_loss(tmp_path_factory, data):
    whole = framed(b"one record") + framed(b"another")
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        broken = whole[:at]
        assume(at not in (0, len(framed(b"one record"))))  # an end between records is an end
    else:
        broken = whole[:at] + bytes([whole[at] ^ data.draw(st.integers(1, 255))]) + whole[at + 1 :]
    path = tmp_path_factory.mktemp("records") / "file"
    path.write_bytes(broken)
    with pytest.raises(ServingError) as caught:
        list(read_records(path))
    assert caught.value.code == DATA_LOSS


def test_a_file_of_another_kind_is_told_so(tmp_path):
    path = tmp_path / "file"
    path.write_text('{"signature_name": "serving_default", "instances": ["text"]}')
    with pytest.raises(ServingError) as caught:
        list(read_records(path))
    assert caught.value.message == "corrupted record at 0 (Is this even a TFRecord file?)"


@given(records=st.lists(st.binary(max_size=40), max_size=5))
def test_records_are_written_as_they_are_read(tmp_path_factory, records):
    path = tmp_path_factory.mktemp("records") / "file"
    write_records(path, iter(records))
    assert path.read_bytes() == b"".join(map(framed, records))
