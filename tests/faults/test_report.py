from pathlib import Path
from xml.etree import ElementTree as ET

from tests.faults.checker import check
from tests.faults.conductor import Plan, Run
from tests.faults.index import write_index
from tests.faults.records import FaultBand, Sample
from tests.faults.report import in_words, make_report, write
from tests.faults.test_checker import delivery, history


def make_run(*, missing: bool = False) -> Run:
    whole = history(
        bands=[FaultBand(name="reset & more", began=1.0, ended=1.5)],
        samples=[Sample(at=1.0, depth=3, outstanding=1, rss_bytes=60_000_000), Sample(at=2.0)],
    )
    if missing:
        whole.deliveries = [delivery(1, 1), whole.deliveries[-1]]
    return Run(plan=Plan(seed=7), broker="3.10.8", history=whole, observations=[], began=0.0, ended=9.0)


def test_a_good_run_is_told_in_words() -> None:
    run = make_run()
    words = in_words(make_report(run, check(run.history)))
    assert words.startswith("PASSED: seed 7, RabbitMQ 3.10.8, on disk\n")
    assert "faults: reset & more 1\n" in words
    assert "missing          0\n" in words


def test_a_bad_run_says_what_is_missing() -> None:
    run = make_run(missing=True)
    words = in_words(make_report(run, check(run.history)))
    assert words.startswith("FAILED: seed 7")
    assert "class 7 #2 (id e2, sent 2.000) was answered 2xx and reached no queue" in words


def test_what_was_observed_fails_a_run_too() -> None:
    run = make_run()
    run.observations.append("a second bridge started")
    report = make_report(run, check(run.history))
    assert report.passed is False
    assert in_words(report).endswith("observed: a second bridge started")


def test_what_the_senders_connections_cost_is_told_apart_from_what_the_bridge_has_besides() -> None:
    run = make_run()
    numbers = [(49, 42, 20), (60, 53, 31), (60, None, 31)]
    run.history.samples[:] = [
        Sample(at=1.0, descriptors=descriptors, tasks=tasks, connections=connections)
        for descriptors, tasks, connections in numbers
    ]
    words = in_words(make_report(run, check(run.history)))
    assert "29 descriptors and 22 tasks besides 31 connections\n" in words


def test_the_picture_is_well_formed_and_names_the_faults(tmp_path: Path) -> None:
    run = make_run()
    write(make_report(run, check(run.history)), run, tmp_path, "run")
    picture = ET.fromstring((tmp_path / "run.svg").read_text())  # noqa: S314 - made here
    texts = [text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert "reset & more" in texts
    assert "accepted, events/s" in texts


def test_the_index_lists_every_report(tmp_path: Path) -> None:
    for name, missing in (("a", False), ("b", True)):
        run = make_run(missing=missing)
        write(make_report(run, check(run.history)), run, tmp_path, name)
    page = write_index(tmp_path).read_text()
    assert "| 3.10.8 | journal | [7](a.txt) | 9 | 2 | 1 | 0 | 0 | 0 of 0 | 0 / 0 | 60 MB | passed |\n" in page
    assert (
        "| 3.10.8 | journal | [7](b.txt) | 9 | 2 | 1 | 2 | 0 | 0 of 0 | 0 / 0 | 60 MB | **failed** |\n"
        in page
    )
    assert "(a.svg)" in page


def test_a_report_takes_the_place_of_the_last_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    for missing in (True, False):
        run = make_run(missing=missing)
        write(make_report(run, check(run.history)), run, tmp_path, "run")
    assert {"run.json", "run.svg", "run.txt"} == {path.name for path in tmp_path.iterdir()}
    assert (tmp_path / "run.txt").read_text().startswith("PASSED")
