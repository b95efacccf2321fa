#include "cpu/dispatch.h"

#include <atomic>
#include <cstdlib>
#include <iterator>

#include "cpu/features.h"
#include "latchwork/error.h"

namespace latchwork {

#define LATCHWORK_ISA_ENTRY(isa)       \
  namespace isa {                      \
  KernelTable kernel_table() noexcept; \
  }
#include "isa_list.inc"
#undef LATCHWORK_ISA_ENTRY

namespace {

struct Entry {
  const char* isa;
  KernelTable (*table)() noexcept;
};

#define LATCHWORK_ISA_ENTRY(isa) {#isa, &isa::kernel_table},
constexpr Entry entries[] = {
#include "isa_list.inc"
};
#undef LATCHWORK_ISA_ENTRY

// Tables are made by baseline-compatible code only once their ISA is known to be supported.
const KernelTable& table_of(std::size_t entry) {
  static std::atomic<const KernelTable*> tables[std::size(entries)] = {};
  const KernelTable* table = tables[entry].load(std::memory_order_acquire);
  if (table) return *table;
  const auto* made = new KernelTable(entries[entry].table());  // lives as long as the process
  if (tables[entry].compare_exchange_strong(table, made)) return *made;
  delete made;
  return *table;
}

std::string join(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

const KernelTable& find(std::string_view name, const char* who) {
  for (std::size_t i = 0; i < std::size(entries); ++i) {
    if (name != entries[i].isa) continue;
    if (!supports_isa(name))
      throw Error(std::string(who) + ": this CPU cannot run '" + std::string(name) +
                  "'; supported: " + join(supported_isas()));
    return table_of(i);
  }
  throw Error(std::string(who) + " must be one of " + join(isas()) + ", got '" + std::string(name) + "'");
}

const KernelTable& choose() {
  if (const char* forced = std::getenv("LATCHWORK_ISA"); forced && *forced) return find(forced, "LATCHWORK_ISA");
  for (std::size_t i = 0; i < std::size(entries); ++i)
    if (supports_isa(entries[i].isa)) return table_of(i);
  throw Error("no kernels for this CPU; compiled in: " + join(isas()));
}

std::atomic<const KernelTable*> chosen = nullptr;

}  // namespace

const KernelTable& kernels() {
  const KernelTable* table = chosen.load(std::memory_order_acquire);
  if (!table) {
    table = &choose();
    chosen.store(table, std::memory_order_release);
  }
  return *table;
}

std::string isa() { return kernels().isa; }

void use_isa(std::string_view name) { chosen.store(&find(name, "isa"), std::memory_order_release); }

std::vector<std::string> isas() {
  std::vector<std::string> names;
  for (const Entry& entry : entries) names.emplace_back(entry.isa);
  return names;
}

std::vector<std::string> supported_isas() {
  std::vector<std::string> names;
  for (const Entry& entry : entries)
    if (supports_isa(entry.isa)) names.emplace_back(entry.isa);
  return names;
}

#define LATCHWORK_CELL(cell) #cell,
static constexpr const char* cell_names[] = {
#include "cell_list.inc"
};
#undef LATCHWORK_CELL

int cell_count() { return static_cast<int>(std::size(cell_names)); }

int find_cell(std::string_view name) {
  for (std::size_t i = 0; i < std::size(cell_names); ++i)
    if (name == cell_names[i]) return static_cast<int>(i);
  return -1;
}

}  // namespace latchwork
