// Rows of a table by number, and the gradient of the table.
#pragma once

#include "base/types.h"

namespace latchwork {

// out [N, width]: row numbers[n] of the table for each n. The numbers lie within the table.
template <class T>
void gather_rows(const T* table, Index width, const Index* numbers, Index count, T* out);

// d_table[numbers[n]] += d_rows[n], n ascending: one chain of additions an element, for any number of threads.
template <class T>
void scatter_add_rows(const T* d_rows, Index width, const Index* numbers, Index count, T* d_table);

}  // namespace latchwork
