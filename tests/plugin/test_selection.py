"""What a person meant and mistyped, or asked for without effect, is said, and never silently nothing."""

from __future__ import annotations

import pytest

from tests.plugin.conftest import OPERATING_POINT, TWO_SWEEPS, Suite

ONE_SIZE = "def test_size(measure):\n    measure()\n"


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("textvqq", "-k 'textvqq' selects none of the 3 benchmarks; did you mean textvqa?"),
        ("batch01 and textvga", "-k 'batch01 and textvga' selects none of the 3 benchmarks; did you mean textvqa?"),
        ("test_batchsize", "-k 'test_batchsize' selects none of the 3 benchmarks; did you mean test_batch_size?"),
        ("xyzzy", "-k 'xyzzy' selects none of the 3 benchmarks; ids are such as test_it.py::test_batch_size*"),
    ],
)
def test_an_expression_that_selects_nothing(suite: Suite, expression: str, said: str) -> None:
    result = suite.run(TWO_SWEEPS, "-k", expression)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines([said.replace("[", "[[]")])


def test_marks_that_select_nothing(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "-m", "not benchmark and slow", "-W", "ignore", "--co", "-q")
    result.stdout.fnmatch_lines(["-m 'not benchmark and slow' selects none of the 3 benchmarks; their marks are *"])
    result = suite.run(TWO_SWEEPS, "-m", "every_devic", "-W", "ignore", "--co", "-q")
    result.stdout.fnmatch_lines(["-m 'every_devic' selects none of the 3 benchmarks; did you mean every_device?"])


def test_other_tests_that_are_selected_are_no_mistake(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS + "\ndef test_other():\n    pass\n", "-k", "other")
    result.assert_outcomes(passed=1, deselected=3)
    result.stdout.no_fnmatch_line("*selects none*")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--blip-modle=x", "ERROR: there is no option --blip-modle; did you mean --blip-model?"),
        ("--blip-round=3", "ERROR: there is no option --blip-round; did you mean --blip-rounds?"),
        ("--bilp-rounds=3", "ERROR: there is no option --bilp-rounds; did you mean --blip-rounds?"),
        ("--blip-energi", "ERROR: there is no option --blip-energi; did you mean --blip-energy?"),
        ("--blip-lang=rus", "ERROR: --blip-lang cannot be 'rus': choose one of en, ru; did you mean ru?"),
        ("--blip-weights=radnom", "ERROR: *choose one of checkpoint, random; did you mean random?"),
        ("--blip-measure=flop", "ERROR: *, all; did you mean flops?"),
        ("--blip-device=cud", "ERROR: *choose auto, cpu, cuda, cuda:N or cuda:N+cuda:M, *; did you mean cuda?"),
        ("--blip-baseline=batchsize=2", "ERROR: *, sequence_length; did you mean batch_size?"),
        ("--blip-also=batchsize=2", "ERROR: *, sequence_length; did you mean batch_size?"),
        ("--blip-baseline=optimization=bf15", "ERROR: *; did you mean bf16?"),
        ("--blip-baseline=dataset=textvq", "ERROR: *; did you mean textvqa?"),
        ("--blip-dataset=textvq=x", "ERROR: *; did you mean textvqa?"),
        ("--blip-prompts=papr", "ERROR: *; did you mean paper?"),
        ("--blip-model=instructblip-tin", "ERROR: *; did you mean instructblip-tiny?"),
        ("--blip-compare-fail=latenci:5%", "ERROR: *; did you mean latency?"),
        ("--blip-allow=machin", "ERROR: *; did you mean machine?"),
        ("--blip-missing=fial", "ERROR: *; did you mean fail?"),
        ("--blip-data-errors=skp", "ERROR: *; did you mean skip?"),
        ("--blip-energy=requir", "ERROR: *; did you mean require?"),
    ],
)
def test_a_misspelt_option_or_value_says_what_was_meant(suite: Suite, option: str, said: str) -> None:
    result = suite.run(ONE_SIZE, option)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])


def test_every_option_with_words_to_choose_from_says_what_was_meant() -> None:
    from blip_fixtures.pytest_plugin.specs import SPECS

    free = {"model", "revision", "data", "new-tokens", "rounds", "warmup-rounds", "limit", "rapl-root", "report-dir"}
    free |= {"processes", "price-per-hour"}
    elsewhere = {"dataset", "prompts", "baseline", "also", "case-timeout"}
    for spec in SPECS:
        if spec.name in free | elsewhere or spec.is_switch:
            continue
        word = {
            "device": "cud",
            "measure": "flop",
            "compare-fail": "latenci:5%",
            "allow": "machin",
            "lang": "rus",
            "ray": "loca",
        }.get(spec.name, f"{spec.default}x")
        with pytest.raises(ValueError, match="did you mean"):
            spec.parse([word] if spec.repeatable else word)


def test_an_option_of_the_users_own_is_no_misspelling(suite: Suite) -> None:
    own = "\n\ndef pytest_addoption(parser):\n    parser.addoption('--blip-mode', default='x')\n"
    suite.pytester.makeconftest(OPERATING_POINT + own)
    suite.run(ONE_SIZE, "--blip-mode=y", "--collect-only").assert_outcomes()


def test_a_misspelt_ini_key(suite: Suite) -> None:
    suite.pytester.makeini("[pytest]\nblip_modle = instructblip-tiny\n")
    result = suite.run(ONE_SIZE)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: there is no ini option blip_modle; did you mean blip_model?"])


def test_a_baseline_that_no_benchmark_holds_is_refused(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS, "-k", "test_batch_size", "--blip-baseline=batch_size=100")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "ERROR: --blip-baseline batch_size=100 changes nothing: the benchmarks that were selected "
            "(test_batch_size) set batch_size themselves, to 1, 2; choose others with -k, or leave it out"
        ]
    )


def test_a_baseline_that_some_do_not_hold_is_said(suite: Suite) -> None:
    result = suite.run(TWO_SWEEPS + ONE_SIZE, "--blip-baseline=batch_size=4", "-k", "test_device or test_size")
    result.assert_outcomes(passed=2, deselected=2)
    result.stdout.fnmatch_lines(
        ["--blip-baseline batch_size=4 does not hold where a sweep sets batch_size itself (test_device: 1)"]
    )
    assert [record.case.batch_size for record in suite.records()] == [1, 4]


@pytest.mark.parametrize("option", ["--blip-baseline=batch_size=1", "--blip-baseline=optimization=bf16"])
def test_a_baseline_that_all_hold_is_not_mentioned(suite: Suite, option: str) -> None:
    suite.run(TWO_SWEEPS, option, "-k", "batch01").stdout.no_fnmatch_line("*does not hold*")


ONE_SAMPLE = OPERATING_POINT.replace("params=[16]", "params=[1]")


@pytest.mark.parametrize("change", ["2 * int(request.param)", "-int(request.param)"])
def test_a_fixture_that_changes_its_parameter_is_no_case_and_says_so(suite: Suite, change: str) -> None:
    suite.pytester.makeconftest(ONE_SAMPLE.replace("return int(request.param)", f"return {change}", 1))
    result = suite.run(ONE_SIZE)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        ["*the fixture of an axis returned another value than its parameter: batch_size * for the parameter 1; *"]
    )
    assert not (suite.folder / "records.json").exists()


def test_what_it_returns_is_measured_where_it_is_its_parameter(suite: Suite) -> None:
    """Whatever else the fixture does, and on what other fixtures it depends."""
    own = "\n\n@pytest.fixture\ndef noted(request):\n    return request.node.name\n"
    conftest = ONE_SAMPLE.replace("def batch_size(request", "def batch_size(noted, request") + own
    suite.pytester.makeconftest(conftest)
    suite.run(ONE_SIZE).assert_outcomes(passed=1)


DEVICE = "\n\n@pytest.fixture{params}\ndef device(request):\n    {body}\n"


@pytest.mark.parametrize(
    ("params", "body", "outcomes", "said"),
    [
        ("", "return request.param", {"passed": 1}, "*batch01*ms a batch, * samples/s"),
        ("(params=['cpu'])", "return request.param", {"passed": 1}, "*batch01*ms a batch, * samples/s"),
        ("", "raise RuntimeError('not mine')", {"errors": 1}, "*RuntimeError: not mine"),
        ("", "return 'cuda:7'", {"errors": 1}, "*device 'cuda:7' for the parameter 'cpu'; *"),
    ],
)
def test_a_device_fixture_of_ones_own_is_asked(
    suite: Suite, params: str, body: str, outcomes: dict[str, int], said: str
) -> None:
    suite.pytester.makeconftest(ONE_SAMPLE + DEVICE.format(params=params, body=body))
    result = suite.run(ONE_SIZE, "--blip-device=cpu")
    result.assert_outcomes(**outcomes)
    result.stdout.fnmatch_lines([said])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("torch", "", "ERROR: torch is not the library but *torch.py, which shadows it; rename that file or folder"),
        ("torch", "import no_such_module", "ERROR: torch cannot be imported (ModuleNotFoundError: No module named *"),
        ("transformers", "1 / 0", "ERROR: transformers cannot be imported (ZeroDivisionError: division by zero); *"),
        ("datasets", "", "ERROR: datasets is not the library but *datasets.py, which shadows it; *"),
    ],
)
def test_a_shadowed_or_broken_library_is_one_sentence(suite: Suite, name: str, content: str, said: str) -> None:
    suite.pytester.makepyfile(**{name: content})
    result = suite.run_in_subprocess(ONE_SIZE, "--blip-baseline=batch_size=1", "--blip-limit=1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([said])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")
