// The activations a cell or a layer may name. Each derivative can be written from the output alone,
// so a layer saves y and nothing else.
#pragma once

namespace latchwork {

enum class Activation : int {
  linear,
  relu,
  tanh,
  sigmoid,
  hard_sigmoid,  // Keras 3: relu6(x + 3) / 6
  softsign,
  elu,       // alpha = 1
  softplus,  // log(1 + exp(x))
  exponential,
};
constexpr int kActivationCount = 9;

// In the order of the enumeration.
constexpr const char* kActivationNames[kActivationCount] = {
    "linear", "relu", "tanh", "sigmoid", "hard_sigmoid", "softsign", "elu", "softplus", "exponential"};

}  // namespace latchwork
