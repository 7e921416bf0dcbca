from microexpr_ros import facs


def test_micro_is_shorter_than_half_a_second():
    assert facs.is_micro(499_999_999)
    assert not facs.is_micro(500_000_000)


def test_codes_are_in_ascending_order_and_have_names():
    assert list(facs.CODES) == sorted(set(facs.CODES))
    assert all(facs.NAMES[code] for code in facs.CODES)
