#include "tools/monitor/metrics.h"

#include <string>
#include <utility>
#include <vector>

namespace hongbao::monitor {
namespace {

using watch::CounterOf;
using watch::Families;
using watch::GaugeOf;
using watch::Labelled;
using watch::Whole;
using watch::With;
using wire::NicSlot;
using wire::Role;
using wire::Slot;

// What all lives of a role have told in all: a life that has ended keeps what it did, so the sum never shrinks.
template <typename AnySlot>
uint64_t TotalOf(const MonitorCounts& snapshot, Role role, AnySlot slot) {
  uint64_t sum = snapshot.forgotten.total[static_cast<size_t>(role)][static_cast<size_t>(slot)];
  for (const Source& source : snapshot.sources) {
    sum += source.role == role ? source.newest.Total(slot) : 0;
  }
  return sum;
}

// What stands now, of those that live.
double OnlineOf(const MonitorCounts& snapshot, Role role, bool users) {
  uint64_t sum = 0;
  for (const Source& source : snapshot.sources) {
    if (source.role == role && source.condition == Condition::kLiving) {
      sum += users ? source.newest.Total(Slot::kOnline) : source.newest.Count(Slot::kOnline);
    }
  }
  return Whole(sum);
}

std::vector<Labelled> BothRoles(const MonitorCounts& snapshot, Slot slot) {
  return {With("role", "client", TotalOf(snapshot, Role::kClient, slot)),
          With("role", "server", TotalOf(snapshot, Role::kServer, slot))};
}

prometheus::MetricFamily SourcesOf(const MonitorCounts& snapshot) {
  std::vector<Labelled> samples;
  for (const Role role : {Role::kClient, Role::kServer, Role::kNic}) {
    for (const Condition condition : {Condition::kLiving, Condition::kSilent, Condition::kEnded, Condition::kReplaced}) {
      uint64_t number = 0;
      for (const Source& source : snapshot.sources) {
        number += source.role == role && source.condition == condition ? 1U : 0U;
      }
      samples.push_back({.labels = {{"role", RoleName(role)}, {"condition", ConditionName(condition)}}, .value = Whole(number)});
    }
  }
  return GaugeOf("hongbao_monitor_sources", "Processes that have told of themselves, by what they are and how they are now.",
                 std::move(samples));
}

prometheus::MetricFamily RefusedRecords(const MonitorCounts& snapshot, const Refused& refused) {
  std::vector<Labelled> samples = {With("reason", "late", snapshot.late), With("reason", "repeated", snapshot.repeated),
                                   With("reason", "clock_off", snapshot.clock_off),
                                   With("reason", "too_many_sources", snapshot.sources_refused)};
  for (size_t i = 0; i < refused.size(); ++i) {
    samples.push_back(With("reason", kRefusalNames[i], refused[i]));
  }
  return CounterOf("hongbao_monitor_records_refused_total", "Records that were not lined up, by why.", std::move(samples));
}

Families LoadFamilies(const MonitorCounts& snapshot) {
  return {
      CounterOf("hongbao_monitor_requests_total", "Shakes, as the clients have sent and the servers have received them.",
                BothRoles(snapshot, Slot::kRequests)),
      CounterOf("hongbao_monitor_responses_total", "Answers to shakes, as the clients have got and the servers have sent them.",
                BothRoles(snapshot, Slot::kResponses)),
      CounterOf("hongbao_monitor_envelopes_won_total", "Shake envelopes won, as both sides count them.",
                BothRoles(snapshot, Slot::kWon)),
      CounterOf("hongbao_monitor_missed_sends_total", "Shakes that clients did not send though they were due.",
                TotalOf(snapshot, Role::kClient, Slot::kMissed)),
      CounterOf("hongbao_monitor_late_sends_total", "Shakes that clients sent late.",
                TotalOf(snapshot, Role::kClient, Slot::kLate)),
      CounterOf("hongbao_monitor_requests_lost_total", "Shakes that will have no answer.",
                TotalOf(snapshot, Role::kClient, Slot::kLost)),
      CounterOf("hongbao_monitor_sessions_superseded_total", "Sessions of clients that a login of the same user elsewhere ended.",
                TotalOf(snapshot, Role::kClient, Slot::kSuperseded)),
      GaugeOf("hongbao_monitor_users_online", "Users logged in now, as the living of both sides say.",
              {{.labels = {{"role", "client"}}, .value = OnlineOf(snapshot, Role::kClient, true)},
               {.labels = {{"role", "server"}}, .value = OnlineOf(snapshot, Role::kServer, true)}}),
      GaugeOf("hongbao_monitor_connections", "Connections now, as the living of both sides say.",
              {{.labels = {{"role", "client"}}, .value = OnlineOf(snapshot, Role::kClient, false)},
               {.labels = {{"role", "server"}}, .value = OnlineOf(snapshot, Role::kServer, false)}})};
}

Families MoneyFamilies(const MonitorCounts& snapshot) {
  const auto fen = [](int64_t amount) { return static_cast<double>(amount); };
  return {GaugeOf("hongbao_monitor_money_given_fen",
                  "Money that the servers have given to users up to the last row, in fen (1/100 yuan).",
                  fen(snapshot.sums.given_fen)),
          GaugeOf("hongbao_monitor_money_received_fen", "Money that the clients have received up to the last row, in fen.",
                  fen(snapshot.sums.got_fen)),
          GaugeOf("hongbao_monitor_money_difference_fen", "Given less received, in fen: what is in flight; 0 at the end.",
                  fen(snapshot.sums.difference_fen())),
          GaugeOf("hongbao_monitor_money_left_fen", "Money in shake envelopes that nobody has won, in fen.",
                  fen(snapshot.sums.left_fen))};
}

Families NicFamilies(const MonitorCounts& snapshot) {
  const auto both = [&snapshot](NicSlot in, NicSlot out) -> std::vector<Labelled> {
    return {With("direction", "in", TotalOf(snapshot, Role::kNic, in)),
            With("direction", "out", TotalOf(snapshot, Role::kNic, out))};
  };
  return {CounterOf("hongbao_monitor_network_packets_total", "Packets of the network cards that tell of themselves.",
                    both(NicSlot::kRxPackets, NicSlot::kTxPackets)),
          CounterOf("hongbao_monitor_network_packets_dropped_total", "Packets that those cards dropped.",
                    both(NicSlot::kRxDropped, NicSlot::kTxDropped)),
          CounterOf("hongbao_monitor_network_card_bytes_total", "Bytes of those cards, with all headers.",
                    both(NicSlot::kRxBytes, NicSlot::kTxBytes)),
          CounterOf("hongbao_monitor_tcp_retransmitted_total", "TCP segments sent again on those machines.",
                    TotalOf(snapshot, Role::kNic, NicSlot::kTcpRetransmitted))};
}

}  // namespace

Refused RefusedBy(const Inlet& inlet) {
  Refused refused{};
  for (size_t i = 0; i < refused.size(); ++i) {
    refused[i] = inlet.refused(static_cast<Refusal>(i));
  }
  return refused;
}

Families MonitorFamilies(const MonitorCounts& snapshot, const Refused& refused, uint64_t clock_steps) {
  Families all = {SourcesOf(snapshot),
                  CounterOf("hongbao_monitor_records_total", "Counter records received from known sources.", snapshot.records),
                  RefusedRecords(snapshot, refused)};
  for (Families part : {LoadFamilies(snapshot), MoneyFamilies(snapshot), NicFamilies(snapshot)}) {
    std::move(part.begin(), part.end(), std::back_inserter(all));
  }
  all.push_back(GaugeOf("hongbao_last_second_timestamp_seconds",
                        "The last second that is counted to its end, unix time; 0: none.",
                        static_cast<double>(snapshot.newest_s)));
  all.push_back(watch::ClockStepsOf(clock_steps));
  return all;
}

}  // namespace hongbao::monitor
