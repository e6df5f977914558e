#include "libhongbao/load/never_served.h"

#include <algorithm>

namespace hongbao::load {
namespace {

using Row = count::Series<Counter>::Row;

constexpr uint64_t kPieces = 64;  // that a second's requests are spread in

// `n` requests that were given up between these two times.
void AddSpread(count::HistogramSnapshot& histogram, uint64_t n, int64_t begin_ns, int64_t until_ns, const NeverServedOf& of) {
  const uint64_t samples = (n + of.sample_every - 1) / of.sample_every;
  const uint64_t pieces = std::min(samples, kPieces);
  for (uint64_t piece = 0; piece < pieces; ++piece) {
    const int64_t length_ns = (until_ns - begin_ns) / static_cast<int64_t>(pieces);
    const int64_t due_ns = begin_ns + length_ns * static_cast<int64_t>(piece) + length_ns / 2;
    histogram.Add(static_cast<uint64_t>(std::max<int64_t>(of.end_ns - due_ns, 0)),
                  samples * (piece + 1) / pieces - samples * piece / pieces);
  }
}

NeverServed& PhaseOf(const Row& row, const time::Schedule& schedule, std::vector<NeverServed>& found) {
  const uint32_t segment = schedule.IndexAt((row.second + 1 - row.span) * time::kNsPerSecond);
  const size_t phase = segment == time::Schedule::kNone ? found.size() - 1 : schedule.phase(segment);
  return found[std::min(phase, found.size() - 1)];
}

// Requests that were given up, or sent, in the row's seconds.
void AddRow(count::HistogramSnapshot& histogram, uint64_t n, const Row& row, const NeverServedOf& of) {
  const int64_t until_ns = (row.second + 1) * time::kNsPerSecond;
  const int64_t begin_ns = until_ns - row.span * time::kNsPerSecond;
  AddSpread(histogram, n, begin_ns, std::max(begin_ns, std::min(until_ns, of.end_ns)), of);
}

}  // namespace

std::vector<NeverServed> NeverServedByPhase(const std::vector<Row>& rows, const time::Schedule& schedule, size_t phases,
                                            NeverServedOf of) {
  std::vector<NeverServed> found(phases);
  for (const Row& row : rows) {
    const uint64_t missed = std::min(Missed(row.delta), of.missed);
    const uint64_t lost = std::min(row.delta[Counter::kLost], of.lost);
    if (missed + lost == 0 || phases == 0) {
      continue;
    }
    of.missed -= missed;
    of.lost -= lost;
    NeverServed& into = PhaseOf(row, schedule, found);
    AddRow(into.missed, missed, row, of);
    AddRow(into.lost, lost, row, of);
  }
  for (auto row = rows.rbegin(); row != rows.rend() && of.outstanding > 0 && phases > 0; ++row) {
    const uint64_t last = std::min(row->delta[Counter::kSent], of.outstanding);
    of.outstanding -= last;
    if (last > 0) {
      AddRow(PhaseOf(*row, schedule, found).lost, last, *row, of);
    }
  }
  return found;
}

}  // namespace hongbao::load
