// Householder QR, for the orthogonal initialiser.
#pragma once

#include "base/types.h"

namespace latchwork {

// vectors [count, length], count <= length: the columns of a matrix, one after another, become the columns of its Q,
// for the QR decomposition whose R has a positive diagonal. Fixed order of every sum (see kSumChunk).
void orthonormalize(double* vectors, Index count, Index length);

}  // namespace latchwork
