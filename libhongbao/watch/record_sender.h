// RecordSender: sends a monitor the record of each finished second of a process, and of its end.
//
// Owns the link, and the slots that every process fills in the same way: life, processor time, memory, end. Never knows what a
// second consists of. Says on stderr when the monitor comes and goes. Thread tag: thread-compatible (the reporter's thread).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "libhongbao/address.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/watch/monitor_link.h"
#include "libhongbao/watch/process_stats.h"
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

class RecordSender {
 public:
  static constexpr int64_t kFlushMs = 2'000;

  // An empty host: nothing is sent, and nothing below does anything. `clock` must outlive it; `program` begins what is said.
  RecordSender(std::string program, const HostPort& monitor, const time::Clock& clock);

  bool on() const { return link_ != nullptr; }

  // The record of a second that is over; it leaves at the next Tick.
  void Add(const wire::CounterRecord& record);
  // To be called once a second at least. What is sampled, and not of a second, goes with the newest record.
  void Tick();
  // The process ends: sends the rest, the last record marked as the end (the newest once more when there is no rest), and waits a
  // little until it has left.
  void End(int exit_code);

  const MonitorLink* link() const { return link_.get(); }  // null: nothing is sent

 private:
  void SendWaiting();
  void Say(const std::string& line) const;

  const std::string program_;
  const Life life_;
  std::unique_ptr<MonitorLink> link_;
  std::vector<wire::CounterRecord> waiting_;
  absl::optional<wire::CounterRecord> newest_;  // that was sent
  ProcessStats sampled_;
};

}  // namespace hongbao::watch
