"""The numbers in Keras' own tests of its recurrent layers: what goes in, what must come out.

From keras-team/keras at commit 3422977a5e38 (3.16.0 in the making), keras/src/layers/rnn/*_test.py: lstm, gru,
simple_rnn, bidirectional, rnn, stacked_rnn_cells. Inputs there are np.arange reshaped, weights one constant a kind:
kernel 0.01, recurrent_kernel 0.02, bias 0.03. `unroll=True`, two values of `implementation` and `use_cudnn` do not
change Keras' numbers and are no rows here.

No rows, with the reason: dropout inside recurrent layers and regularizers (not built), TimeDistributed's masked inner
layer (a [B, T] mask stays outside, docs/decisions.md), serialization of Keras' own files, cuDNN.
"""

from dataclasses import dataclass, field
from typing import Any

CONSTANTS = {"kernel": 0.01, "recurrent_kernel": 0.02, "bias": 0.03}
LOOSE, DEFAULT = 1e-5, 1e-6  # rtol and atol: those a test names; those of Keras' assertAllClose

ENDS = [[True, True, True, False], [True, True, False, False]]
HOLES = [[True, True, False, True], [True, False, False, True]]
BEGINS = [[False, True, True, True], [False, False, True, True]]


@dataclass(frozen=True)
class Case:
    """One call of a layer in one test of Keras."""

    test: str  # "lstm: test_correctness": the file without _test.py, and the function
    layer: str  # LSTM, GRU, SimpleRNN; OneState, TwoStates: the cells of rnn_test.py, all weights 1, in an RNN
    units: Any  # a list for cells on top of each other
    x: tuple[int, ...]  # np.arange of this shape, ONES of it where `ones`
    outputs: list[Any]  # in the order returned; an array short of its last axis says the same of every unit
    options: dict[str, Any] = field(default_factory=dict)
    bidirectional: dict[str, Any] | None = None  # the arguments of one around the layer
    back: dict[str, float] | None = None  # the constants of its backward_layer, where it has its own
    initial_state: list[Any] | None = None  # (shape, factor): np.arange of the shape times the factor
    mask: list[Any] | None = None
    calls: int = 1  # a stateful layer is called twice, and the second result counts
    ones: bool = False
    tolerance: float = LOOSE


CASES = [
    Case("lstm: test_correctness", "LSTM", 3, (3, 6, 4), [[0.6288687, 0.86899155, 0.9460773]]),
    Case("lstm: test_correctness", "LSTM", 3, (3, 6, 4), [[0.35622165, 0.74789524, 0.8872726]], {"go_backwards": True}),
    Case("lstm: test_correctness", "LSTM", 3, (3, 6, 4), [[0.57019705, 0.8661914, 0.9459622]],
         {"unit_forget_bias": False}),
    Case("lstm: test_correctness", "LSTM", 3, (3, 6, 4), [[0.54986924, 0.86226785, 0.9443936]], {"use_bias": False}),
    Case("lstm: test_statefulness", "LSTM", 4, (2, 3, 4), [[0.3124785, 0.6863672]], {"stateful": True}, calls=2),
    Case("lstm: test_pass_initial_state", "LSTM", 2, (2, 4, 3), [[[0.20574439, 0.3558822], [0.64930826, 0.66276]]],
         initial_state=[((2, 2), 1), ((2, 2), 1)]),
    Case("lstm: test_pass_initial_state", "LSTM", 2, (2, 4, 3), [[[0.13281618, 0.2790356], [0.5839337, 0.5992567]]],
         {"go_backwards": True}, initial_state=[((2, 2), 1), ((2, 2), 1)]),
    Case("lstm: test_masking", "LSTM", 2, (2, 4, 3), [[0.11755939, 0.28556206]], mask=ENDS),
    Case("lstm: test_masking", "LSTM", 2, (2, 4, 3),
         [[[0.01588910, 0.05552048, 0.11755939, 0.11755939], [0.14185596, 0.28556206, 0.28556206, 0.28556206]]],
         {"return_sequences": True}, mask=ENDS),
    Case("lstm: test_masking", "LSTM", 2, (2, 4, 3),
         [[[0.01588910, 0.05552048, 0.11755939, 0.0], [0.14185596, 0.28556206, 0.0, 0.0]]],
         {"return_sequences": True, "zero_output_for_mask": True}, mask=ENDS),
    Case("lstm: test_masking", "LSTM", 2, (2, 4, 3), [[0.15341201, 0.3844719]], {"go_backwards": True}, mask=BEGINS),

    Case("gru: test_correctness", "GRU", 3, (3, 6, 4), [[0.5217289, 0.6371659, 0.39384964]]),
    Case("gru: test_correctness", "GRU", 3, (3, 6, 4), [[0.24406259, 0.611516, 0.3928808]], {"go_backwards": True}),
    Case("gru: test_correctness", "GRU", 3, (3, 6, 4), [[0.51447755, 0.6426879, 0.40208298]], {"reset_after": False}),
    Case("gru: test_correctness", "GRU", 3, (3, 6, 4), [[0.49988455, 0.64701194, 0.4103359]], {"use_bias": False}),
    Case("gru: test_statefulness", "GRU", 4, (2, 3, 4), [[0.29542392, 0.5885018]], {"stateful": True}, calls=2,
         tolerance=DEFAULT),
    Case("gru: test_pass_initial_state", "GRU", 2, (2, 4, 3), [[[0.23774096, 0.33508456], [0.83659905, 1.0227708]]],
         initial_state=[((2, 2), 1)], tolerance=DEFAULT),
    Case("gru: test_pass_initial_state", "GRU", 2, (2, 4, 3), [[[0.13486053, 0.23261218], [0.78257304, 0.9691353]]],
         {"go_backwards": True}, initial_state=[((2, 2), 1)], tolerance=DEFAULT),
    Case("gru: test_pass_return_state", "GRU", 2, (2, 4, 3),
         [[[0.23774096, 0.33508456], [0.83659905, 1.0227708]], [[0.23774096, 0.33508456], [0.83659905, 1.0227708]]],
         {"return_state": True}, initial_state=[((2, 2), 1)], tolerance=DEFAULT),
    Case("gru: test_pass_return_state", "GRU", 2, (2, 4, 3),
         [[[0.13486053, 0.23261218], [0.78257304, 0.9691353]], [[0.13486053, 0.23261218], [0.78257304, 0.9691353]]],
         {"return_state": True, "go_backwards": True}, initial_state=[((2, 2), 1)], tolerance=DEFAULT),
    Case("gru: test_masking", "GRU", 2, (2, 4, 3), [[0.19393763, 0.30818558]], mask=HOLES, tolerance=DEFAULT),
    Case("gru: test_masking", "GRU", 2, (2, 4, 3),
         [[[0.03606692, 0.09497581, 0.09497581, 0.19393763], [0.16051409, 0.16051409, 0.16051409, 0.30818558]]],
         {"return_sequences": True}, mask=HOLES, tolerance=DEFAULT),
    Case("gru: test_masking", "GRU", 2, (2, 4, 3),
         [[[0.03606692, 0.09497581, 0.0, 0.19393763], [0.16051409, 0.0, 0.0, 0.30818558]]],
         {"return_sequences": True, "zero_output_for_mask": True}, mask=HOLES, tolerance=DEFAULT),
    Case("gru: test_masking", "GRU", 2, (2, 4, 3), [[0.11669192, 0.28380975]], {"go_backwards": True}, mask=HOLES,
         tolerance=DEFAULT),

    Case("simple_rnn: test_correctness", "SimpleRNN", 4, (2, 3, 4), [[0.405432, 0.73605347]], tolerance=DEFAULT),
    Case("simple_rnn: test_correctness", "SimpleRNN", 4, (2, 3, 4), [[0.11144729, 0.5528889]], {"go_backwards": True},
         tolerance=DEFAULT),
    Case("simple_rnn: test_statefulness", "SimpleRNN", 4, (2, 3, 4), [[0.40559256, 0.7361247]], {"stateful": True},
         calls=2, tolerance=DEFAULT),
    Case("simple_rnn: test_pass_initial_state", "SimpleRNN", 4, (2, 4, 3), [[0.33621645, 0.6262637]],
         initial_state=[((2, 4), 1)], tolerance=DEFAULT),
    Case("simple_rnn: test_pass_initial_state", "SimpleRNN", 4, (2, 4, 3), [[0.07344437, 0.43043602]],
         {"go_backwards": True}, initial_state=[((2, 4), 1)], tolerance=DEFAULT),
    Case("simple_rnn: test_masking", "SimpleRNN", 4, (2, 4, 3), [[0.32951632, 0.61799484]], mask=HOLES,
         tolerance=DEFAULT),
    Case("simple_rnn: test_masking", "SimpleRNN", 2, (2, 4, 3),
         [[[0.0599281, 0.15122814, 0.15122814, 0.32394567], [0.3969304, 0.3969304, 0.3969304, 0.608085]]],
         {"return_sequences": True}, mask=HOLES, tolerance=DEFAULT),
    Case("simple_rnn: test_masking", "SimpleRNN", 2, (2, 4, 3),
         [[[0.0599281, 0.15122814, 0.0, 0.32394567], [0.3969304, 0.0, 0.0, 0.608085]]],
         {"return_sequences": True, "zero_output_for_mask": True}, mask=HOLES, tolerance=DEFAULT),
    Case("simple_rnn: test_masking", "SimpleRNN", 4, (2, 4, 3), [[0.07376196, 0.43645123]], {"go_backwards": True},
         mask=HOLES, tolerance=DEFAULT),

    Case("bidirectional: test_correctness", "SimpleRNN", 2, (2, 3, 4),
         [[[0.39687276, 0.39687276, 0.10004295, 0.10004295], [0.7237238, 0.7237238, 0.53391594, 0.53391594]]],
         bidirectional={}),
    Case("bidirectional: test_correctness", "SimpleRNN", 2, (2, 3, 4), [[0.24845785, 0.6288199]],
         bidirectional={"merge_mode": "ave"}),
    Case("bidirectional: test_correctness", "SimpleRNN", 2, (2, 3, 4),
         [[0.39687276, 0.7237238], [0.10004295, 0.53391594]], bidirectional={"merge_mode": None}),
    Case("bidirectional: test_correctness", "SimpleRNN", 2, (2, 3, 4), [[0.08374989, 0.6740834]],
         bidirectional={"merge_mode": "mul"}, back={"kernel": 0.03, "recurrent_kernel": 0.02, "bias": 0.01}),
    Case("bidirectional: test_correctness", "GRU", 2, (2, 3, 4),
         [[[0.20937867, 0.34462988, 0.40290534], [0.59829646, 0.6734641, 0.6479671]]],
         {"return_sequences": True}, bidirectional={"merge_mode": "sum"}),
    Case("bidirectional: test_statefulness", "LSTM", 2, (2, 4, 3),
         [[[0.26234663, 0.26234663, 0.16959146, 0.16959146], [0.6137073, 0.6137073, 0.5381646, 0.5381646]]],
         {"stateful": True}, bidirectional={}, calls=2),
    Case("bidirectional: test_pass_initial_state", "LSTM", 2, (2, 4, 3),
         [[[0.20794602, 0.4577124, 0.14046375, 0.48191673], [0.6682636, 0.6711909, 0.60943645, 0.60950446]]],
         bidirectional={}, initial_state=[((2, 2), 1), ((2, 2), 2), ((2, 2), 3), ((2, 2), 4)]),
    Case("bidirectional: test_masking", "GRU", 2, (2, 4, 3),
         [[[0.19393763, 0.19393763, 0.11669192, 0.11669192], [0.30818558, 0.30818558, 0.28380975, 0.28380975]]],
         bidirectional={}, mask=HOLES),
    Case("bidirectional: test_return_state", "LSTM", 2, (2, 4, 3),
         [[[0.1990008, 0.1990008, 0.12659755, 0.12659755], [0.52335435, 0.52335435, 0.44717982, 0.44717982]],
          [0.1990008, 0.52335435], [0.35567185, 1.0492687], [0.12659755, 0.44717982], [0.2501858, 0.941473]],
         {"return_state": True}, bidirectional={}),

    Case("rnn: test_forward_pass_single_state", "OneState", 2, (1, 2, 3), [[9]], ones=True),
    Case("rnn: test_forward_pass_single_state", "OneState", 2, (1, 2, 3), [[[3, 9]], [9]],
         {"return_sequences": True, "return_state": True}, ones=True),
    Case("rnn: test_forward_pass_two_states", "TwoStates", 2, (1, 2, 3), [[18], [9], [9]], {"return_state": True},
         ones=True),
    Case("rnn: test_forward_pass_two_states", "TwoStates", 2, (1, 2, 3), [[[6, 18]], [9], [9]],
         {"return_sequences": True, "return_state": True}, ones=True),
    Case("rnn: test_passing_initial_state_single_state", "OneState", 2, (2, 3, 2), [[22, 22], [22, 22]],
         {"return_state": True}, initial_state=[((2, 2), None)], ones=True),
    Case("rnn: test_passing_initial_state_two_states", "TwoStates", 2, (2, 3, 2), [[44, 44], [22, 22], [22, 22]],
         {"return_state": True}, initial_state=[((2, 2), None), ((2, 2), None)], ones=True),
    Case("rnn: test_statefulness_single_state", "OneState", 2, (1, 2, 3), [[45]], {"stateful": True}, calls=2,
         ones=True),
    Case("rnn: test_statefulness_two_states", "TwoStates", 2, (1, 2, 3), [[90]], {"stateful": True}, calls=2,
         ones=True),
    Case("rnn: test_go_backwards", "OneState", 2, (2, 3, 4), [[202, 538]], {"go_backwards": True}),
    Case("rnn: test_go_backwards", "OneState", 2, (2, 3, 4), [[954, 3978]], {"stateful": True}, calls=2),
    Case("rnn: test_masking", "OneState", 2, (2, 4, 3), [[57, 126]], mask=ENDS),
    Case("rnn: test_masking", "OneState", 2, (2, 4, 3), [[[3, 18, 57, 57], [39, 126, 126, 126]]],
         {"return_sequences": True}, mask=ENDS),

    Case("stacked_rnn_cells: test_correctness_single_state_stack", "OneState", [3, 2], (2, 3, 4),
         [[786, 4386], [158, 782], [786, 4386]], {"return_state": True}),
    Case("stacked_rnn_cells: test_correctness_single_state_stack", "OneState", [3, 2], (2, 3, 4),
         [[[18, 156, 786], [162, 1020, 4386]], [158, 782], [786, 4386]],
         {"return_state": True, "return_sequences": True}),
    Case("stacked_rnn_cells: test_correctness_two_states_stack", "TwoStates", [3, 2], (2, 3, 4),
         [[3144, 17544], [158, 782], [158, 782], [1572, 8772], [1572, 8772]], {"return_state": True}),
    Case("stacked_rnn_cells: test_correctness_two_states_stack", "TwoStates", [3, 2], (2, 3, 4),
         [[[72, 624, 3144], [648, 4080, 17544]]], {"return_sequences": True}),
    Case("stacked_rnn_cells: test_statefullness_single_state_stack", "OneState", [3, 2], (2, 3, 4), [[34092, 173196]],
         {"stateful": True}, calls=2),
    Case("stacked_rnn_cells: test_statefullness_two_states_stack", "TwoStates", [3, 2], (2, 3, 4), [[136368, 692784]],
         {"stateful": True}, calls=2),
]  # fmt: skip
