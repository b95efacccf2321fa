#include "sequence/step.h"

#include <algorithm>

namespace latchwork {
namespace {

constexpr Index kStripRows = 32;  // as the plan's: their pre-activations stay in L1

// A parked worker takes longer to wake than most steps take: it is asked for those that find it spinning, and for the
// first of them.
constexpr auto kClosely = std::chrono::microseconds(40);

template <class T>
Buffer<T> zeros(Index n) {
  Buffer<T> buffer(n);
  std::fill_n(buffer.data(), n, T(0));
  return buffer;
}

}  // namespace

template <class T>
CellStep<T>::CellStep(std::shared_ptr<const Weights<T>> weights, Index rows, Activation activation,
                      Activation recurrent_activation, int threads)
    : weights_(std::move(weights)),
      whole_(*weights_, activation, recurrent_activation, {0, static_cast<Index>(layout().blocks.size())}, rows,
             kStripRows, nullptr),
      x_(rows),
      intermediate_rows_(rows) {
  const Layout& at = layout();
  const CellInfo& cell = *at.cell;
  const int members = step_members({rows, 1, &at, sizeof(T)}, threads);
  for (int member = 0; members > 1 && member < members; ++member)
    shares_.emplace_back(*weights_, activation, recurrent_activation,
                         block_share({0, 1, rows, Split::units, 0}, at, members, member), rows, kStripRows, nullptr);
  if (members > 1) Team{members};  // its threads are made now
  states_ = zeros<T>(checked_product((cell.states - 1) * at.padded_hidden, rows, "streams"));
  intermediate_ = zeros<T>(cell.phases > 1 ? checked_product(rows, at.padded_hidden, "streams") : 0);
  for (const int i : {0, 1}) {
    h_[i] = zeros<T>(checked_product(rows, at.hidden, "streams"));
    h_before_[i] = Buffer<const T*>(rows), h_after_[i] = Buffer<T*>(rows);
    for (Index row = 0; row < rows; ++row) h_before_[i][row] = h_after_[i][row] = h_[i].data() + row * at.hidden;
  }
  for (Index row = 0; row < rows; ++row)
    intermediate_rows_[row] = cell.phases > 1 ? intermediate_.data() + row * at.padded_hidden : nullptr;
}

template <class T>
void CellStep<T>::step(const T* x, const bool* real) noexcept {
  const Layout& at = layout();
  for (Index row = 0; row < rows(); ++row) x_[row] = x + row * at.input;
  StepRows<T> rows_at{.x = x_.data(), .h_previous = h_before_[parity_].data(), .h_next = h_after_[1 - parity_].data()};
  for (int state = 1; state < at.cell->states; ++state)
    rows_at.previous[state] = rows_at.next[state] = {state_row(state, 0), at.padded_hidden};
  rows_at.intermediate = {intermediate_.data(), at.padded_hidden};
  rows_at.intermediate_rows = intermediate_rows_.data();
  for (Index row = 0; real && row < rows(); ++row)
    if (!real[row]) std::copy_n(h_before_[parity_][row], at.hidden, h_after_[1 - parity_][row]);
  if (shares_.empty())
    alone(rows_at, real);
  else
    together(rows_at, real);
  parity_ = 1 - parity_;
}

template <class T>
void CellStep<T>::alone(const StepRows<T>& at, const bool* real) noexcept {
  Barrier barrier(1);
  run(whole_, at, real, barrier);
}

template <class T>
void CellStep<T>::together(const StepRows<T>& at, const bool* real) noexcept {
  const auto members = static_cast<int>(shares_.size());
  const bool closely = std::chrono::steady_clock::now() - ended_ < kClosely;
  Team team(closely ? members : 1);
  if (team.size() == members) {
    Barrier barrier(members);
    team.run([&](int member) { run(shares_[static_cast<std::size_t>(member)], at, real, barrier); });
  } else {
    alone(at, real);
  }
  ended_ = std::chrono::steady_clock::now();
}

template <class T>
void CellStep<T>::run(StepPass<T>& pass, const StepRows<T>& at, const bool* real, Barrier& barrier) noexcept {
  for (int phase = 0; phase < layout().cell->phases; ++phase) {
    if (phase > 0) barrier.wait();
    for (Index row = 0, end = 0; row < rows(); row = end) {
      for (end = row; end < rows() && real && !real[end];) ++end;
      row = end;
      while (end < rows() && (!real || real[end])) ++end;
      if (row < end) pass.run(phase, at, row, end);
    }
  }
}

template <class T>
const T* CellStep<T>::state_row(int state, Index row) const noexcept {
  if (state == 0) return h_[parity_].data() + row * layout().hidden;
  return states_.data() + ((state - 1) * rows() + row) * layout().padded_hidden;
}

template <class T>
T* CellStep<T>::state_row(int state, Index row) noexcept {
  return const_cast<T*>(std::as_const(*this).state_row(state, row));
}

template <class T>
void CellStep<T>::clear(Index row) noexcept {
  for (int state = 0; state < layout().cell->states; ++state) std::fill_n(state_row(state, row), layout().hidden, T(0));
}

template <class T>
void CellStep<T>::read(int state, T* out) const noexcept {
  for (Index row = 0; row < rows(); ++row)
    std::copy_n(state_row(state, row), layout().hidden, out + row * layout().hidden);
}

template <class T>
void CellStep<T>::write(int state, const T* in) noexcept {
  for (Index row = 0; row < rows(); ++row)
    std::copy_n(in + row * layout().hidden, layout().hidden, state_row(state, row));
}

template class CellStep<float>;
template class CellStep<double>;

}  // namespace latchwork
