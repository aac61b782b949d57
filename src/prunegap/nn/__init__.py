"""Strong lottery tickets for whole trained networks: torch is imported here and in `trained` only."""

from prunegap.nn.certificate import NetworkCertificate, certify_network, with_claim
from prunegap.nn.construct import Impossible, Making, make_ticket
from prunegap.nn.graph import Graph, InputSet, LayerShape, Step
from prunegap.nn.measure import Measurement, measure_ticket
from prunegap.nn.modules import GraphModule, dense
from prunegap.nn.source import STREAM, SourceLayer
from prunegap.nn.spec import read_target, target_of
from prunegap.nn.target import LayerWeights, Target
from prunegap.nn.ticket import NetworkTicket, TicketLayer, collapsed_module, masked_module
from prunegap.nn.ticket_file import load, read_ticket, save_ticket
from prunegap.nn.trace import trace

__all__ = [
    "STREAM",
    "Graph",
    "GraphModule",
    "Impossible",
    "InputSet",
    "LayerShape",
    "LayerWeights",
    "Making",
    "Measurement",
    "NetworkCertificate",
    "NetworkTicket",
    "SourceLayer",
    "Step",
    "Target",
    "TicketLayer",
    "certify_network",
    "collapsed_module",
    "dense",
    "load",
    "make_ticket",
    "masked_module",
    "measure_ticket",
    "read_target",
    "read_ticket",
    "save_ticket",
    "target_of",
    "trace",
    "with_claim",
]
