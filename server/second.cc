#include "server/second.h"

#include "libhongbao/watch/clock_news.h"
#include "libhongbao/watch/figures.h"

namespace hongbao::server {
namespace {

using serve::Counter;
using watch::Amount;
using watch::Column;
using watch::Measured;
using watch::Sum;
using wire::Slot;

// What is there now: what came less what went.
template <Counter kCame, Counter kWent>
Amount Now(const Second& second) {
  const uint64_t now = second.row.total[kCame] - second.row.total[kWent];
  return {now, now};
}

constexpr watch::Figure<Second> kFigures[] = {
    {Column::kUsers, Now<Counter::kUsersCame, Counter::kUsersLeft>},
    {Column::kConnections, Now<Counter::kConnectionsOpened, Counter::kConnectionsClosed>},
    {Column::kReceived, Sum<Counter::kReceived>},
    {Column::kAnswered, Sum<Counter::kReplied, Counter::kRefused>},
    {Column::kWon, Sum<Counter::kWon>},
    {Column::kNothing, Sum<Counter::kNothing>},
    {Column::kCap, Sum<Counter::kCap>},
    {Column::kRefused, Sum<Counter::kRefused>},
    {Column::kIssued,
     [](const Second& second) {
       return Amount{second.issued, second.issued_total};
     }},
    {Column::kOpened, Sum<Counter::kOpened>},
    {Column::kGivenFen, Sum<Counter::kWonFen, Counter::kOpenedFen>},
    {Column::kGivenTotalFen,
     [](const Second& second) { return Amount{.of_second = Sum<Counter::kWonFen, Counter::kOpenedFen>(second).in_all}; }},
    {Column::kServerCpuPct, [](const Second& second) { return Measured(second.sample.cpu_percent * 1e4); }},
    {Column::kServerRssBytes, [](const Second& second) { return Measured(static_cast<double>(second.sample.rss_bytes)); }},
};

void SetFrames(const Second& second, wire::CounterRecord& record) {
  const auto& delta = second.row.delta;
  const auto& total = second.row.total;
  const auto set = [&](uint32_t type, auto of) { record.Set(type, of(delta), of(total)); };
  using Values = count::Values<Counter>;
  set(0, [](const Values& c) { return c[Counter::kFramesLogin]; });
  set(1, [](const Values& c) {
    return c[Counter::kLoginsOk] + c[Counter::kLoginsOutOfRange] + c[Counter::kLoginsBadToken] + c[Counter::kLoginsFull];
  });
  set(2, [](const Values& c) { return c[Counter::kFramesShake]; });
  set(3, [](const Values& c) { return c[Counter::kReplied] + c[Counter::kRefused]; });
  set(4, [](const Values& c) { return c[Counter::kNotices]; });
  set(5, [](const Values& c) { return c[Counter::kFramesOpen]; });
  set(6, [](const Values& c) { return c[Counter::kOpened] + c[Counter::kOpenedAgain] + c[Counter::kOpensEmpty]; });
  set(7, [](const Values& c) { return c[Counter::kFramesSend]; });
  set(9, [](const Values& c) { return c[Counter::kFramesStatement]; });
}

}  // namespace

void MergeSeconds(Second& into, const Second& next) {
  watch::MergeSamples(into.sample, into.row.span, next.sample, next.row.span);
  count::MergeRows(into.row, next.row);
  into.issued += next.issued;
  into.issued_total = next.issued_total;
}

watch::SecondRow RowOf(const Second& second) {
  watch::SecondRow row = watch::RowOf(second.row.unix_second, second, kFigures);
  second.sample.network.AddTo(&row);
  return row;
}

nlohmann::json SecondJson(const Second& second) {
  const auto& delta = second.row.delta;
  nlohmann::json document = watch::RowJson(watch::RowOf(second.row.unix_second, second, kFigures));
  document.update({{"span_s", second.row.span},
                   {"won_fen", delta[Counter::kWonFen]},
                   {"gifts", delta[Counter::kGiftsSent]},
                   {"notices", delta[Counter::kNotices]},
                   {"opened_fen", delta[Counter::kOpenedFen]}});
  return document;
}

wire::CounterRecord RecordOf(const Second& second, const serve::ServerCounts& before, const serve::ServerCounts& counts,
                             uint32_t users_max) {
  wire::CounterRecord record{.unix_s = second.row.unix_second, .role = wire::Role::kServer};
  const auto& delta = second.row.delta;
  const auto& total = second.row.total;
  const auto set = [&](Slot slot, Counter id) { record.Set(slot, delta[id], total[id]); };
  watch::SetFigures(record, second, kFigures);
  SetFrames(second, record);
  record.Set(Slot::kGrantsSent, delta[Counter::kWon] + delta[Counter::kOpened], total[Counter::kWon] + total[Counter::kOpened]);
  set(Slot::kConnectionsOpened, Counter::kConnectionsOpened);
  set(Slot::kConnectionsClosed, Counter::kConnectionsClosed);
  const auto issued_fen = [](const serve::ServerCounts& c) { return static_cast<uint64_t>(c.issued.sum.value()); };
  record.Set(Slot::kShakeIssuedFen, issued_fen(counts) - issued_fen(before), issued_fen(counts));
  set(Slot::kShakeReceived, Counter::kWon);
  set(Slot::kShakeReceivedFen, Counter::kWonFen);
  set(Slot::kGiftsIssued, Counter::kGiftsSent);
  set(Slot::kGiftsIssuedFen, Counter::kGiftsSentFen);
  set(Slot::kSharesReceivedFen, Counter::kOpenedFen);
  set(Slot::kSuperseded, Counter::kSuperseded);
  record.Set(Slot::kUsers, 0, users_max);
  record.Set(Slot::kLeft, counts.envelopes_left, issued_fen(counts) - counts.serve[Counter::kWonFen]);
  record.Set(Slot::kBase, counts.granted_before_fen, 0);
  watch::SetClockSteps(record, counts.clock_steps);
  return record;
}

}  // namespace hongbao::server
