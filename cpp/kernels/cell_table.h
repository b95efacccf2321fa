// The cell contract, as data: what a cell declares and the two pointwise functions a phase has.
// See docs/cells.md for the contract with eight cells written under it.
#pragma once

#include "base/activation.h"
#include "base/types.h"

namespace latchwork {

constexpr int kMaxSlots = 9;
constexpr int kMaxStates = 4;
constexpr int kMaxProducts = 4;
constexpr int kMaxPhases = 3;
constexpr int kMaxVectors = 8;
constexpr int kMaxRowInputs = 2;
constexpr int kMaxStatistics = 2;

enum class Operand : int { x, h, intermediate };  // x_t, h_{t-1}, or what the previous phase left
constexpr int kOperands = 3;
enum class Weight : int { kernel, recurrent_kernel, projection };  // [I, G*H], [h, G*H], [H, P]
enum class Width : int { hidden, projected };                      // H units, or the P of a projection

struct StateInfo {
  const char* name;
  Width width = Width::hidden;
};

// One product: slots[j] += operand * weight[:, gates[j] * H ..]. Within a slot, products chain in the order
// declared, each of another operand.
struct ProductInfo {
  Operand operand;
  Weight weight;
  int bias;  // row of the bias array that belongs to this product's gates; -1: none
  int count;
  int slots[kMaxSlots];
  int gates[kMaxSlots];
  bool heads = false;  // the weight is block-diagonal, a block a head
};

// Slots whose mean and inverse deviation over a whole row a phase needs before its pointwise pass.
struct StatisticsInfo {
  int first_slot;
  int slot_count;
};

// Some products, perhaps statistics, then one pointwise pass (and, backward, its reverse).
struct PhaseInfo {
  int first_slot;
  int slot_count;
  int first_product;
  int product_count;
  Width width = Width::hidden;
  int statistics = 0;
  StatisticsInfo statistic[kMaxStatistics] = {};
};

struct CellInfo {
  const char* name;
  int gates;   // G: columns of the weights are G * H
  int biases;  // rows of the bias array: 1, or 2 for [2, G*H]
  int slots;   // S: pre-activations a unit has
  int states;  // h first
  int saved;   // values a unit keeps for backward, beside the states
  int phases;
  int products;
  const char* gate_names[kMaxSlots];
  StateInfo state[kMaxStates];
  PhaseInfo phase[kMaxPhases];
  ProductInfo product[kMaxProducts];
  int vectors = 0;  // parameters of one value a unit (peepholes, gains); their gradients are summed as biases are
  const char* vector_names[kMaxVectors] = {};
  int row_inputs = 0;  // values a row and step has beside x (a time difference, an attention weight)
  const char* row_input_names[kMaxRowInputs] = {};
};

// Rows of our own buffers: row r starts at data + r * stride.
template <class T>
struct Rows {
  T* data;
  Index stride;
};

// One pass over units [unit, unit + units) of `rows` rows. All rows start at unit 0, but those of `slots` at `unit`.
template <class T>
struct PointwiseArgs {
  Index rows;
  Index unit;
  Index units;          // real units of this block
  Index padded_hidden;  // distance between the values of a saved record
  Activation activation;
  Activation recurrent_activation;
  Rows<T> slots;  // pre-activations, [rows][slot][slot_stride]; backward: their gradients are written here
  Index slot_stride;
  const T* const* h_previous;    // [rows] pointers to exact rows of H
  T* const* h_next;              // [rows] forward: written, backward: read
  Rows<T> previous[kMaxStates];  // states beyond h (index 0 is unused), padded rows
  Rows<T> next[kMaxStates];
  Rows<T> saved;         // [rows][saved][padded]; data null: inference, keep nothing
  Rows<T> intermediate;  // [rows][padded]; backward rebuilds it here for the weight gradient
  // backward only
  Rows<T> d_next[kMaxStates];      // gradients of the states after the step, h at index 0, padded
  Rows<T> d_previous[kMaxStates];  // their direct terms before the step are written here; never the rows of d_next
  Rows<T> d_intermediate;
  const T* const* dy_previous;  // [rows] added to the direct term of h in the last pass; null: nothing to add
};

template <class T>
using Pointwise = void (*)(const PointwiseArgs<T>&) noexcept;

template <class T>
struct CellKernels {
  const CellInfo* info;
  Pointwise<T> forward[kMaxPhases];
  Pointwise<T> backward[kMaxPhases];
};

}  // namespace latchwork
