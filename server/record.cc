#include "server/record.h"

#include "libhongbao/watch/clock_news.h"

namespace hongbao::server {

using serve::Counter;
using wire::Slot;

namespace {

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

wire::CounterRecord RecordOf(const Second& second, const serve::ServerCounts& before, const serve::ServerCounts& counts,
                             uint32_t users_max) {
  wire::CounterRecord record{.unix_s = second.row.unix_second, .role = wire::Role::kServer};
  const auto& delta = second.row.delta;
  const auto& total = second.row.total;
  const auto set = [&](Slot slot, Counter id) { record.Set(slot, delta[id], total[id]); };
  SetFrames(second, record);
  set(Slot::kRequests, Counter::kReceived);
  record.Set(Slot::kResponses, record.count[3], record.total[3]);
  set(Slot::kWon, Counter::kWon);
  set(Slot::kNothing, Counter::kNothing);
  set(Slot::kCap, Counter::kCap);
  set(Slot::kOverload, Counter::kRefused);
  record.Set(Slot::kGrantsSent, delta[Counter::kWon] + delta[Counter::kOpened], total[Counter::kWon] + total[Counter::kOpened]);
  set(Slot::kConnectionsOpened, Counter::kConnectionsOpened);
  set(Slot::kConnectionsClosed, Counter::kConnectionsClosed);
  const auto issued_fen = [](const serve::ServerCounts& c) { return static_cast<uint64_t>(c.issued.sum.value()); };
  record.Set(Slot::kShakeIssued, second.issued, second.issued_total);
  record.Set(Slot::kShakeIssuedFen, issued_fen(counts) - issued_fen(before), issued_fen(counts));
  set(Slot::kShakeReceived, Counter::kWon);
  set(Slot::kShakeReceivedFen, Counter::kWonFen);
  set(Slot::kGiftsIssued, Counter::kGiftsSent);
  set(Slot::kGiftsIssuedFen, Counter::kGiftsSentFen);
  set(Slot::kSharesReceived, Counter::kOpened);
  set(Slot::kSharesReceivedFen, Counter::kOpenedFen);
  record.Set(Slot::kOnline, total[Counter::kConnectionsOpened] - total[Counter::kConnectionsClosed],
             total[Counter::kUsersCame] - total[Counter::kUsersLeft]);
  set(Slot::kSuperseded, Counter::kSuperseded);
  record.Set(Slot::kUsers, 0, users_max);
  record.Set(Slot::kLeft, counts.envelopes_left, issued_fen(counts) - counts.serve[Counter::kWonFen]);
  record.Set(Slot::kBase, counts.granted_before_fen, 0);
  watch::SetClockSteps(record, counts.clock_steps);
  return record;
}

}  // namespace hongbao::server
