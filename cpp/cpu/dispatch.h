// The kernel table in use: chosen once, forceable.
#pragma once

#include "kernels/table.h"
#include "latchwork/cpu.h"

namespace latchwork {

// The table of the ISA in use. Throws Error at the first call if LATCHWORK_ISA names an unknown or unsupported ISA.
const KernelTable& kernels();

int cell_count();
// Index of a cell by name in KernelTable::cells, or -1.
int find_cell(std::string_view name);

}  // namespace latchwork
