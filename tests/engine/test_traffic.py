"""What INFO says of the network."""

from __future__ import annotations

from trignb.engine.traffic import Rates, Traffic


def test_rates_are_means_of_the_last_samples() -> None:
    traffic = Traffic()
    for tenth in range(4):
        traffic.sample(100 + tenth / 10, commands=50 * tenth)
        traffic.bytes_in += 1024
        traffic.bytes_out += 2048
        traffic.cycles += 10
        traffic.cycles_us += 500
    rates = traffic.rates(100.3)
    assert 499 <= rates.commands <= 501
    assert round(rates.bytes_in) == 10240
    assert round(rates.bytes_out) == 20480
    assert 99 <= rates.cycles <= 101
    assert rates.cycle_us == 50


def test_samples_come_one_at_a_time_from_several_servers() -> None:
    traffic = Traffic()
    traffic.sample(100.0, 0)
    traffic.sample(100.01, 1000)
    assert traffic.rates(100.01) == Rates()


def test_rates_are_zero_once_nobody_samples() -> None:
    traffic = Traffic()
    traffic.sample(100.0, 0)
    traffic.sample(100.1, 10)
    assert traffic.rates(100.2).commands > 0
    assert traffic.rates(102.0) == Rates()


def test_the_largest_buffers_are_remembered_for_seconds() -> None:
    traffic = Traffic()
    traffic.largest_in, traffic.largest_out = 1000, 70
    traffic.sample(100.0, 0)
    traffic.largest_in, traffic.largest_out = 10, 7000
    traffic.sample(100.5, 0)
    traffic.sample(103.0, 0)
    assert traffic.recent_largest() == (1000, 7000)
    traffic.sample(109.0, 0)
    assert traffic.recent_largest() == (0, 0)


def test_a_reset_sets_counters_to_zero() -> None:
    traffic = Traffic()
    traffic.bytes_in = traffic.rejected = traffic.cycles = 5
    traffic.sample(100.0, 0)
    traffic.sample(100.1, 10)
    traffic.reset()
    assert traffic.bytes_in == traffic.rejected == traffic.cycles == 0
    assert traffic.rates(100.1) == Rates()
