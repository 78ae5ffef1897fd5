"""Everything that is checked before jobs are measured, so that bad input costs seconds and loses nothing."""

from __future__ import annotations

import contextlib
import logging
from collections import defaultdict
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

from blip_fixtures.case import cards_of
from blip_fixtures.checkpoints.across import memory_shares
from blip_fixtures.checkpoints.resolve import CheckpointError
from blip_fixtures.data.sources import DataError
from blip_fixtures.devices import cuda_devices, why_unavailable
from blip_fixtures.engine.caches import provide_caches, why_no_rows
from blip_fixtures.engine.fit import Estimator, Size, free_bytes, why_too_large, why_too_large_for_host
from blip_fixtures.engine.fit_across import cards_that_fit, why_too_large_across
from blip_fixtures.engine.stock import checkpoint_key
from blip_fixtures.meters import own_domain
from blip_fixtures.optimizations import DTYPES, find_optimization
from blip_fixtures.reasons import Reason
from blip_fixtures.words import Decoding, EnergyMode, Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from blip_fixtures.engine.stock import CheckpointKey, Stock
    from blip_fixtures.job import Job

# What the engine cannot do without, and a name of each that a file that shadows it will not have.
_LIBRARIES = (("torch", "Tensor"), ("transformers", "AutoTokenizer"), ("datasets", "Dataset"))


class PreflightError(ValueError):
    """Jobs that cannot be measured as they are; the message says what, why, and what to do."""


def check_libraries(libraries: Iterable[tuple[str, str]] = _LIBRARIES) -> None:
    """Import what measuring needs. Raises `PreflightError` for a library that is broken or shadowed by a file.

    And for one that has no place for its files.
    """
    import importlib

    for line in provide_caches():
        logging.getLogger(__name__).warning(line)
    problem = why_no_rows()
    if problem is not None:
        raise PreflightError(problem)
    for name, attribute in libraries:
        try:
            module = importlib.import_module(name)
            has_it = hasattr(module, attribute)
        except Exception as error:
            # A broken installation can raise anything while it is imported.
            said = " ".join(str(error).split()) or "no message"
            raise PreflightError(
                f"{name} cannot be imported ({type(error).__name__}: {said}); install it again, or rename a file of "
                "your own that is called like one of its modules"
            ) from error
        if not has_it:
            place = getattr(module, "__file__", None) or getattr(module, "__path__", "?")
            raise PreflightError(f"{name} is not the library but {place}, which shadows it; rename that file or folder")


def check_devices(devices: Iterable[str]) -> None:
    """Raise `PreflightError` for the first device that this process cannot use."""
    for device in devices:
        reason = why_unavailable(device)
        if reason is not None:
            raise PreflightError(str(reason))


def check_architectures(jobs: Sequence[Job], stock: Stock) -> None:
    """Find the jobs' checkpoints. Raises `PreflightError` for one that is none, or cannot run a job's sizes."""
    check_libraries()
    try:
        for job in jobs:
            case = job.case
            reason = stock.architecture(job).why_impossible(case.image_size, case.sequence_length, job.new_tokens.limit)
            if reason is not None:
                raise PreflightError(f"{job.case.id}: {reason}")
            check_length(stock.resolved(job))
    except CheckpointError as error:
        raise PreflightError(str(error)) from None


def check_length(job: Job) -> None:
    """Raise `PreflightError` where the answers of a resolved job may have fewer tokens than its protocol asks for."""
    least, most = job.prompt.min_new_tokens, job.new_tokens.limit
    if least > most and not job.new_tokens.fixed:
        raise PreflightError(
            f"{job.case.id}: the prompts {job.case.prompts} ask for at least {least} new tokens and an answer may have "
            f"{most}; give --blip-new-tokens={least} or more"
        )


def prepare(
    jobs: Sequence[Job],
    stock: Stock,
    *,
    with_meters: bool = True,
    held_bytes: Callable[[str], int] = lambda _device: 0,
    one_must_run: bool = True,
) -> dict[Job, Reason]:
    """Check everything that the jobs need, in the order of what it costs; why some cannot run on this machine.

    Weights are fetched last, when it is known that a job can run with them. `held_bytes` is what a loaded model takes
    of a device and gives back for the next. Raises `PreflightError` in one sentence; with `one_must_run` also where no
    job can run, and what was asked for is the cause rather than what the machine lacks.
    """
    check_architectures(jobs, stock)
    try:
        for job in jobs:
            stock.samples(job)
        unrunnable, asked_too_much = _unrunnable(jobs, stock, held_bytes)
        if one_must_run and asked_too_much and len(unrunnable) == len(set(jobs)):
            raise PreflightError(f"no case can run: {asked_too_much[0]}")
        if with_meters:
            find_all_meters(jobs, stock)
        for job in jobs:
            stock.checkpoint(job)
            stock.processor(job)
    except (CheckpointError, DataError) as error:
        raise PreflightError(str(error)) from None
    return unrunnable


def _unrunnable(
    jobs: Sequence[Job], stock: Stock, held_bytes: Callable[[str], int]
) -> tuple[dict[Job, Reason], list[Reason]]:
    """The reasons of the jobs that cannot run, and those among them that were asked for too much."""
    lacking = {job: reason for job in jobs if (reason := _why_lacking(job, stock))}
    unfilled = {
        job: reason for job in jobs if job not in lacking and (reason := _too_few_samples(job, len(stock.samples(job))))
    }
    left = [job for job in jobs if job not in lacking and job not in unfilled]
    contradictory = {job: reason for job, reason in lacking.items() if reason == _why_against(job, stock)}
    asked_too_much = {**contradictory, **unfilled, **too_large(left, stock, held_bytes)}
    return {**lacking, **asked_too_much}, list(asked_too_much.values())


def _why_lacking(job: Job, stock: Stock) -> Reason | None:
    """What the device lacks for a job, or that there is no such device, or that the checkpoint does not suit it."""
    optimization, device = find_optimization(job.case.optimization), job.case.device
    reason = why_unavailable(device) or optimization.why_unavailable(device, protocol=stock.prompt(job))
    if reason is not None:
        return reason
    with _buildable(checkpoint_key(job)):
        return optimization.why_unfit(device, stock.architecture(job))


def _why_against(job: Job, stock: Stock) -> Reason | None:
    """Why the job's optimization cannot decode as its protocol says, on whatever machine."""
    return find_optimization(job.case.optimization).why_against(stock.prompt(job))


@contextlib.contextmanager
def _buildable(key: CheckpointKey) -> Iterator[None]:
    """Raises `CheckpointError` where the configuration of the checkpoint makes no model."""
    try:
        yield
    except ValueError as error:
        raise CheckpointError(
            f"cannot build checkpoint {key[0]!r}: {error}; give a folder that save_pretrained wrote"
        ) from None


def _too_few_samples(job: Job, samples: int) -> Reason | None:
    if samples >= job.case.batch_size:
        return None
    return Reason.of("too_few_samples", samples=samples, dataset=job.case.dataset, batch_size=job.case.batch_size)


def too_large(jobs: Sequence[Job], stock: Stock, held_bytes: Callable[[str], int]) -> dict[Job, Reason]:
    """The jobs that do not fit into what their device has free, with what would."""
    alike: dict[tuple[CheckpointKey, str], list[Job]] = defaultdict(list)
    for job in jobs:
        alike[checkpoint_key(job), job.case.device].append(job)
    found: dict[Job, Reason] = {}
    for (key, device), group in alike.items():
        with _buildable(key):
            free = {card: free_bytes(card) + held_bytes(card) for card in cards_of(device)}
            make = cache(partial(Estimator, stock.architecture(group[0]).config))
            sizes = {job: _size(stock.resolved(job), stock) for job in group}
            found |= _too_large_of(sizes, make, free, partial(_wider, device, held_bytes))
            # Synthetic weights are made where they stay.
            if device != "cpu" and group[0].case.weights == Weights.TRAINED:
                found |= _too_large_for_host([job for job in group if job not in found], make, held_bytes)
    return found


def _too_large_for_host(
    jobs: Sequence[Job], make: Callable[[str], Estimator], held_bytes: Callable[[str], int]
) -> dict[Job, Reason]:
    """Of jobs of one checkpoint on one CUDA device: its weights are read into the host's memory first."""
    free = free_bytes("cpu") + held_bytes("cpu")
    reasons: dict[str, Reason | None] = {}
    for job in jobs:
        name = job.case.optimization
        if name not in reasons:
            reasons[name] = why_too_large_for_host(make(find_optimization(name).dtype), name, job.case.device, free)
    return {job: reason for job in jobs if (reason := reasons[job.case.optimization])}


def _wider(device: str, held_bytes: Callable[[str], int], estimator: Estimator, size: Size) -> str | None:
    """Cards of this machine, a CUDA `device` among them, that hold together what it does not."""
    if device == "cpu":
        return None
    cards = [card for card in cuda_devices() if why_unavailable(card) is None]
    free = {card: free_bytes(card) + held_bytes(card) for card in cards}
    return cards_that_fit(estimator, size, device, free, dict(zip(cards, memory_shares(cards), strict=True)))


def _too_large_of(
    jobs: Mapping[Job, Size],
    make: Callable[[str], Estimator],
    free: Mapping[str, int],
    wider: Callable[[Estimator, Size], str | None],
) -> dict[Job, Reason]:
    """Of jobs of one checkpoint on one device, each with its size; `free` has the bytes of each of its cards."""
    # What is planned, and what may be advised instead: another dtype.
    names = dict.fromkeys([*(job.case.optimization for job in jobs), *DTYPES])
    estimators: dict[str, Callable[[], Estimator]] = {
        name: partial(make, find_optimization(name).dtype) for name in names
    }
    refusing: Callable[..., Reason | None]
    if len(free) > 1:
        refusing = partial(why_too_large_across, free=free, shares=memory_shares(tuple(free)), estimators=estimators)
    else:
        ((device, left),) = free.items()
        refusing = partial(why_too_large, device=device, free=left, estimators=estimators, wider=wider)
    found: dict[Job, Reason] = {}
    for optimization in dict.fromkeys(job.case.optimization for job in jobs):
        alike = [job for job in jobs if job.case.optimization == optimization]
        refuse = partial(refusing, optimization=optimization)
        # Where one as large as the largest of each axis fits, all do.
        if refuse(_largest([jobs[job] for job in alike])) is not None:
            found |= {job: reason for job in alike if (reason := refuse(jobs[job]))}
    return found


def _size(job: Job, stock: Stock) -> Size:
    """Of a resolved job. Before there is a tokenizer an option is taken to have a token for every two letters: twice
    what English has.
    """
    case = job.case
    size = Size(case.batch_size, case.image_size, case.sequence_length, job.new_tokens.limit, job.prompt.num_beams)
    if job.prompt.decoding != Decoding.RANK:
        return size
    options, letters = stock.most_options(job)
    return replace(size, options=options, new_tokens=2 + letters // 2)


def _largest(sizes: Sequence[Size]) -> Size:
    return Size(
        max(size.batch_size for size in sizes),
        max(size.image_size for size in sizes),
        max(size.text_tokens for size in sizes),
        max(size.new_tokens for size in sizes),
        max(size.beams for size in sizes),
        max(size.options for size in sizes),
    )


def find_all_meters(jobs: Sequence[Job], stock: Stock) -> None:
    """The meters of the devices that will work. Raises `PreflightError` where one is required and missing."""
    for root in dict.fromkeys(job.rapl_root for job in jobs if job.reads_energy):
        reading = [job for job in jobs if job.reads_energy and job.rapl_root == root]
        devices = [
            device for device in dict.fromkeys(job.case.device for job in reading) if not why_unavailable(device)
        ]
        found = stock.meters(root, devices)
        required = {job.case.device for job in reading if job.energy == EnergyMode.REQUIRE}
        if any(own_domain(device) in found.absent(device) for device in devices if device in required):
            said = "; ".join(f"{name} ({error.status}): {error.reason}" for name, error in found.all_absent().items())
            raise PreflightError(f"--blip-energy=require, and energy meters are missing: {said}")
