#include "bindings/compute.h"

namespace latchwork {
namespace {

thread_local std::int64_t counted = 0;

}  // namespace

std::int64_t compute_nanoseconds() noexcept { return counted; }

Compute::Compute() : start_(std::chrono::steady_clock::now()) {}

Compute::~Compute() { counted += std::chrono::nanoseconds(std::chrono::steady_clock::now() - start_).count(); }

}  // namespace latchwork
