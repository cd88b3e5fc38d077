import pytest

from commits import judge
from comparison import Figures, Rounds

ROUND: Figures = {
    "cpu_us": 100.0,
    "per_second": 1000.0,
    "published_per_s": 900.0,
    "p99_ms": 10.0,
    "peak_rss_mb": 50,
}
NOISE = (0.99, 1.0, 1.01, 1.0, 0.995)


def rounds(factor: float) -> Rounds:
    base = [{name: value * noise for name, value in ROUND.items()} for noise in NOISE]
    head = [
        one | {"cpu_us": one["cpu_us"] * factor, "per_second": one["per_second"] / factor} for one in base
    ]
    return {"base": base, "head": head}


@pytest.mark.parametrize("factor", [1.0, 1.01, 0.7])
def test_what_is_equal_nearly_equal_or_faster_is_not_worse(
    factor: float, capsys: pytest.CaptureFixture[str]
) -> None:
    assert [] == judge(rounds(factor), rounds(factor))
    assert "WORSE" not in capsys.readouterr().out


def test_what_is_slower_beyond_noise_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    worse = judge(rounds(1.2), rounds(1.2))
    assert ["CPU per event at saturation", "answers per second", "CPU per event at 1,000/s"] == worse
    assert capsys.readouterr().out.count("WORSE") == 3
