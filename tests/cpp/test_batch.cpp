// Row maps, the order of rows, shares of a team and groups of steps.
#include "sequence/batch.h"

#include "check.h"
#include "layers/recurrent.h"

namespace latchwork::test {
namespace {

void order() {
  const Batch batch({3, 0, 5, 3, 1});
  const std::vector<Index> rows{2, 0, 3, 4, 1}, active{4, 3, 3, 1, 1};
  for (Index r = 0; r < batch.size(); ++r)
    check(batch.sequence(r) == rows[static_cast<std::size_t>(r)], "length descending, ties by index");
  for (Index t = 0; t < 5; ++t) check(batch.active(t) == active[static_cast<std::size_t>(t)], "active rows");
  check(batch.active(5) == 0 && batch.steps() == 5 && batch.records() == 12 && batch.first_record(2) == 7, "records");
  check(Batch({}).steps() == 0 && Batch({0, 0}).records() == 0, "nothing to do");
}

void shares() {
  for (const Indices& lengths : {Indices{4, 4, 4, 4, 4}, {5, 1, 0, 3, 2}}) {
    const Batch batch(lengths);
    for (int members = 1; members <= 8; ++members) {
      const Stretch all = stretches({.members = members}, batch).part[0];
      for (Index active = 0; active <= batch.size(); ++active) {
        std::vector<int> seen(lengths.size());
        for (int m = 0; m < members; ++m) {
          const RowShare share = row_share(all, batch, members, m);
          for (Index i = 0; i < share.active(active); ++i) seen[static_cast<std::size_t>(share.row(i))]++;
        }
        bool exact = true;
        for (Index r = 0; r < batch.size(); ++r)
          exact = exact && seen[static_cast<std::size_t>(r)] == (r < active ? 1 : 0);
        check(exact, "every active row has one member");
      }
    }
  }
}

// The last steps have few rows: where that begins, and that it begins with a group.
void few_rows() {
  const Batch batch({1000, 600, 300, 300, 2, 0});  // groups of 43 steps
  const auto of = [&](Plan plan) { return stretches(plan, batch); };
  check(of({.members = 2}).count == 1 && of({.members = 2, .split = Split::units, .few_rows = 2}).count == 1,
        "shared in one way");
  const Stretches two = of({.members = 2, .hoist_steps = 5, .few_rows = 2, .few_hoist_steps = 7});
  const Stretch many = two.part[0], few = two.part[1];
  check(two.count == 2 && many.begin == 0 && many.end == 301 && few.begin == 301 && few.end == 1000, "from 300 on");
  check(many.rows == 6 && many.split == Split::rows && many.hoist_steps == 5, "many rows");
  check(few.rows == 2 && few.split == Split::units && few.hoist_steps == 7, "few rows");
  check(row_share(few, batch, 2, 1).count == 2 && row_share(many, batch, 2, 1).count == 3, "all rows, own rows");
  const Stretches few_alone = of({.members = 2, .few_rows = 6});
  check(few_alone.count == 1 && few_alone.part[0].split == Split::units && few_alone.part[0].rows == 6, "few alone");
}

void maps() {
  const float data[60] = {};
  const auto at = [&](const Arrangement& a, bool reversed, Index b, Index t) {
    return row_map(data, 2, a, reversed).row(b, t) - data;
  };
  Arrangement a{.batch = 3, .steps = 5, .offsets = {}, .lengths = {5, 2, 0}};
  check(at(a, false, 1, 1) == 12 && at(a, true, 1, 0) == 12 && at(a, true, 1, 1) == 10, "batch first");
  a.time_major = true;
  check(at(a, false, 1, 1) == 8 && at(a, true, 0, 0) == 24, "time major");
  Arrangement r{.batch = 3, .offsets = {0, 5, 7, 7}, .lengths = {5, 2, 0}};
  check(at(r, false, 1, 1) == 12 && at(r, true, 1, 0) == 12, "ragged");

  const bool mask[] = {true,  false, true,  false, true, false, false, false,
                       false, false, false, true,  true, false, false};
  Arrangement m{.batch = 3, .steps = 5, .offsets = {}, .lengths = {5, 5, 5}};
  m.set_mask(mask);
  check(m.lengths == Indices{3, 0, 2} && m.real == Indices{0, 2, 4, 1, 2}, "real steps of a mask");
  check(at(m, false, 0, 1) == 4 && at(m, true, 0, 0) == 8 && at(m, false, 2, 1) == 24 && at(m, true, 2, 1) == 22,
        "masked");
}

void groups() {
  check(group_steps(1) == 256 && group_steps(256) == 1 && group_steps(257) == 1 && group_steps(100) == 3,
        "ceil(256 / B)");
}

}  // namespace
}  // namespace latchwork::test

int main() {
  using namespace latchwork::test;
  order();
  shares();
  few_rows();
  maps();
  groups();
  return report("batch");
}
