"""The sections behind the sweeps, in the order of the document."""

from blip_fixtures.report.sections.batch_answers import BATCH_ANSWERS
from blip_fixtures.report.sections.certificate import CERTIFICATE
from blip_fixtures.report.sections.decoding import DECODING
from blip_fixtures.report.sections.energy import ENERGY
from blip_fixtures.report.sections.environment import ENVIRONMENT
from blip_fixtures.report.sections.flops import FLOPS
from blip_fixtures.report.sections.limit import LIMIT
from blip_fixtures.report.sections.memory import MEMORY
from blip_fixtures.report.sections.phases import PHASES
from blip_fixtures.report.sections.quality import QUALITY
from blip_fixtures.report.sections.reproduce import REPRODUCE
from blip_fixtures.report.sections.section import Section
from blip_fixtures.report.sections.throughput import THROUGHPUT
from blip_fixtures.report.sections.tokens import TOKENS

SECTIONS: tuple[Section, ...] = (
    DECODING,
    QUALITY,
    CERTIFICATE,
    BATCH_ANSWERS,
    TOKENS,
    THROUGHPUT,
    FLOPS,
    MEMORY,
    PHASES,
    LIMIT,
    ENERGY,
    ENVIRONMENT,
    REPRODUCE,
)
