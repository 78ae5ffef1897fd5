"""The suite's closed sets of words, as they stand in records, options and messages."""

from __future__ import annotations

from enum import StrEnum

# Of the document, and of reasons.
LANGUAGES = ("en", "ru")


class Weights(StrEnum):
    """The checkpoint's own weights, or synthetic ones."""

    TRAINED = "checkpoint"
    RANDOM = "random"


class DataErrors(StrEnum):
    """What becomes of an invalid row."""

    FAIL = "fail"
    SKIP = "skip"
    CONVERT = "convert"


class EnergyMode(StrEnum):
    """Whether energy counters are read: those that are there, all of them or no run, none."""

    AUTO = "auto"
    REQUIRE = "require"
    OFF = "off"


class LockMode(StrEnum):
    """What a run does where another one holds the folder or the device: wait for it, end, or not ask."""

    WAIT = "wait"
    FAIL = "fail"
    OFF = "off"


class Decoding(StrEnum):
    """How an answer comes about: token by token, by beam search, or as the likeliest of the options."""

    GREEDY = "greedy"
    BEAM = "beam"
    RANK = "rank"


class FamilyKind(StrEnum):
    """What a family is: how its parts are joined, and what its language model is. A protocol may differ by either."""

    INSTRUCTBLIP = "instructblip"
    BLIP2 = "blip2"
    ENCODER_DECODER = "encoder_decoder"
    DECODER_ONLY = "decoder_only"


class PassName(StrEnum):
    """What a case is measured for, in the order of the passes."""

    LATENCY = "latency"
    PHASES = "phases"
    QUALITY = "quality"
    ENERGY = "energy"
    MEMORY = "memory"
    FLOPS = "flops"
    LIMIT = "limit"


class Status(StrEnum):
    """What became of a case. A `PLANNED` one is not measured yet, and never stored."""

    OK = "ok"
    UNAVAILABLE = "unavailable"
    OUT_OF_MEMORY = "out_of_memory"
    FAILED = "failed"
    PLANNED = "planned"


class Mark(StrEnum):
    """How a row of a table stands to its first row."""

    FASTER = "faster"
    SLOWER = "slower"
    SAME = "same"
    UNKNOWN = "cannot tell"


class Phase(StrEnum):
    """A part of one `generate` call, in order."""

    VISION = "vision"
    QFORMER = "qformer"
    PREFILL = "prefill"
    DECODE = "decode"


class Component(StrEnum):
    """A part of the model that attends."""

    VISION = "vision"
    QFORMER = "qformer"
    LANGUAGE_ENCODER = "language_encoder"
    LANGUAGE_DECODER = "language_decoder"


class Bound(StrEnum):
    """What keeps a phase from being faster; of a GPU it may be the host that launches its kernels."""

    ARITHMETIC = "arithmetic"
    MEMORY = "memory"
    HOST = "host"


class Domain(StrEnum):
    """What an energy counter counts."""

    GPU = "gpu"
    CPU_PACKAGE = "cpu_package"
    DRAM = "dram"
    PSYS = "psys"


class Scope(StrEnum):
    """Whose energy a counter sees: every process on every socket; one GPU board; a GPU whose MIG instances share it."""

    MACHINE = "machine"
    BOARD = "board"
    PARENT_GPU = "parent_gpu"


class EnergyStatus(StrEnum):
    """Why a domain has no number, or a weaker one."""

    OK = "ok"
    DEGRADED = "degraded"
    UNRESOLVED = "unresolved"
    UNSUPPORTED = "unsupported"
    PERMISSION = "permission"
    MASKED = "masked"
    LIBRARY_MISSING = "library_missing"
    DRIVER_ERROR = "driver_error"
    LOST = "lost"
    IMPLAUSIBLE = "implausible"
    CONTENDED = "contended"
    DISABLED = "disabled"


class IntervalMethod(StrEnum):
    """How the interval of a metric was made."""

    WILSON = "wilson"
    BOOTSTRAP = "bootstrap"


class Certified(StrEnum):
    """What a checkpoint's certificate says of one score."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not_reproduced"
    CANNOT_TELL = "cannot_tell"
    NO_VERDICT = "no_verdict"
    NO_PUBLISHED_SCORE = "no_published_score"


class MemoryKind(StrEnum):
    """What grew by the peak: the resident set of the process, or the tensors of CUDA's allocator."""

    PROCESS_RSS = "process_rss"
    CUDA_ALLOCATOR = "cuda_allocator"
