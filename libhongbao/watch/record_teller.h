// RecordTeller: tells a monitor of each finished second of a process, and of its end; what server and client have alike.
//
// Owns the link, and the slots that every process fills in the same way: life, processor
// time, memory, end. Never knows what a second consists of: its records come from a function of the caller's. Says on
// stderr when the monitor comes and goes. Thread tag: thread-compatible (the reporter's thread).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "libhongbao/cli/flags.h"
#include "libhongbao/watch/monitor_link.h"
#include "libhongbao/watch/process_stats.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/counter_record.h"

namespace hongbao::watch {

// When a process began, and which it is: one life, by which a monitor tells it from the next of the same users.
struct Life {
  int64_t began_unix_ns = 0;
  int64_t process_id = 0;
};

void SetLife(wire::CounterRecord& record, const Life& life);
// Processor time between the two, and memory now.
void SetProcess(wire::CounterRecord& record, const ProcessStats& before, const ProcessStats& now);
void SetEnd(wire::CounterRecord& record, int exit_code);

class RecordTeller {
 public:
  static constexpr int64_t kFlushMs = 2'000;

  // An empty host: nobody is told, and nothing below does anything. `clock` must outlive it; `program` begins what is said.
  RecordTeller(std::string program, const HostPort& monitor, const time::Clock& clock);

  bool on() const { return link_ != nullptr; }

  // Tells of `fresh`: the seconds that have come since the last call. `make(second, newest)` gives the record; what is sampled
  // and not of a second belongs to the newest. To be called once a second at least.
  template <typename Seconds, typename Make>
  void Tell(const Seconds& fresh, Make make) {
    if (on()) {
      for (size_t i = 0; i < fresh.size(); ++i) {
        Send(make(fresh[i], i + 1 == fresh.size()), i + 1 == fresh.size());
      }
      Tick();
    }
  }

  // The process ends: the rest, the last record of it marked (that of `newest` again when there is no rest; null: there never
  // was a second), and waits a little until it has left.
  template <typename Seconds, typename Make>
  void TellEnd(const Seconds& fresh, const typename Seconds::value_type* newest, Make make, int exit_code) {
    if (!on()) {
      return;
    }
    for (size_t i = 0; i + 1 < fresh.size(); ++i) {
      Send(make(fresh[i], false), false);
    }
    if (!fresh.empty() || newest != nullptr) {
      wire::CounterRecord record = make(fresh.empty() ? *newest : fresh.back(), true);
      SetEnd(record, exit_code);
      Send(std::move(record), true);
    }
    Finish();
  }

  const MonitorLink* link() const { return link_.get(); }  // null: nobody is told

 private:
  void Send(wire::CounterRecord record, bool newest);
  void Tick();
  void Finish();
  void Say(const std::string& line) const;

  const std::string program_;
  const Life life_;
  std::unique_ptr<MonitorLink> link_;
  ProcessStats sampled_;
};

}  // namespace hongbao::watch
