"""Strong lottery tickets for whole trained networks: torch is imported here and in `trained` only."""

from prunegap.nn.budget import make_to_size
from prunegap.nn.certificate import NetworkCertificate, certify_network, verify_claim, with_claim
from prunegap.nn.construct import Impossible, Making, make_ticket
from prunegap.nn.edge_popup import Training, learn_masks
from prunegap.nn.graph import Graph, LayerShape, Step
from prunegap.nn.input_set import InputSet
from prunegap.nn.measure import Measurement, checked_inputs, measure_ticket, read_data
from prunegap.nn.modules import GraphModule, dense
from prunegap.nn.near import NearCertificate, certify_near, check_near, verify_near, with_near
from prunegap.nn.neuron_ticket import Fit, Selection, select_neurons
from prunegap.nn.rival import Rival, RivalLayer, read_rival, save_rival
from prunegap.nn.rivals import Comparison, Row, compare_rivals, finest_ticket
from prunegap.nn.shift import as_in, shifted
from prunegap.nn.source import STREAM, SourceLayer
from prunegap.nn.spec import read_target, target_of
from prunegap.nn.subset_sum_gpu import best_subsets_on
from prunegap.nn.target import LayerWeights, Target
from prunegap.nn.ticket import NetworkTicket, TicketLayer, collapsed_module, masked_module
from prunegap.nn.ticket_file import export_state, load, read_ticket, refuse_to_overwrite, save_ticket
from prunegap.nn.tolerance import Share
from prunegap.nn.trace import trace

__all__ = [
    "STREAM",
    "Comparison",
    "Fit",
    "Graph",
    "GraphModule",
    "Impossible",
    "InputSet",
    "LayerShape",
    "LayerWeights",
    "Making",
    "Measurement",
    "NearCertificate",
    "NetworkCertificate",
    "NetworkTicket",
    "Rival",
    "RivalLayer",
    "Row",
    "Selection",
    "Share",
    "SourceLayer",
    "Step",
    "Target",
    "TicketLayer",
    "Training",
    "as_in",
    "best_subsets_on",
    "certify_near",
    "certify_network",
    "check_near",
    "checked_inputs",
    "collapsed_module",
    "compare_rivals",
    "dense",
    "export_state",
    "finest_ticket",
    "learn_masks",
    "load",
    "make_ticket",
    "make_to_size",
    "masked_module",
    "measure_ticket",
    "read_data",
    "read_rival",
    "read_target",
    "read_ticket",
    "refuse_to_overwrite",
    "save_rival",
    "save_ticket",
    "select_neurons",
    "shifted",
    "target_of",
    "trace",
    "verify_claim",
    "verify_near",
    "with_claim",
    "with_near",
]
