// MonitorLink: takes a process's counter records to a monitor (docs/PROTOCOL.md, "Counter record") without ever making
// the process wait for it.
//
// Owns one socket and the last kQueueMax records that have not left; the oldest gives way, and is counted. Tries again
// once a second for as long as it lives. A record that a lost connection cut off is sent again whole; what the kernel had
// taken of whole records may be lost with the connection, which the totals in later records make good.
// A name is looked up by a thread of its own, anew whenever all its addresses have been tried: a monitor may move.
// Never blocks but in Flush, never ends the process, never raises SIGPIPE.
// Thread tag: thread-compatible (the reporter's thread).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/types/optional.h"
#include "libhongbao/cli/flags.h"
#include "libhongbao/time/clock.h"
#include "libhongbao/wire/counter_record.h"

namespace hongbao::watch {

class MonitorLink {
 public:
  static constexpr size_t kQueueMax = 120;  // two minutes

  // Does nothing yet; Tick connects. `clock` must outlive it.
  MonitorLink(HostPort monitor, const time::Clock& clock);
  ~MonitorLink();
  MonitorLink(const MonitorLink&) = delete;
  MonitorLink& operator=(const MonitorLink&) = delete;

  // Queues a record.
  void Add(const wire::CounterRecord& record);
  // Connects, sends, notices a lost connection: what can be done now. To be called once a second at least.
  void Tick();
  // At the end: waits until everything has left, `timeout_ms` at most, and closes. False: something has not, or there is no
  // monitor (then it does not wait).
  bool Flush(int64_t timeout_ms);

  bool connected() const { return state_ == State::kConnected; }
  size_t waiting() const { return queue_.size() + (sending_left_ > 0 ? 1 : 0); }
  uint64_t sent() const { return sent_; }        // records that the kernel took whole
  uint64_t dropped() const { return dropped_; }  // records that found no room while nobody took them

  // For people: "monitor 127.0.0.1:8002: connected", "...: no connection since 12:00:01 (ECONNREFUSED), 7 records wait, 0
  // dropped; trying again each second".
  std::string StateText() const;
  // StateText() when the monitor has come or gone since the last time, at most once in kNewsEveryNs: for stderr.
  absl::optional<std::string> News();

 private:
  enum class State : uint8_t { kIdle, kConnecting, kConnected };
  static constexpr int64_t kRetryNs = time::kNsPerSecond;
  struct Lookup;
  static constexpr int64_t kConnectPatienceNs = 5 * time::kNsPerSecond;
  static constexpr int64_t kNewsEveryNs = 10 * time::kNsPerSecond;

  void Connect();
  bool NextAddress(SocketAddress& address);
  void LookWhetherConnected();
  void ReadAndForget();
  void Send();
  bool SendRest();
  void Lose(int error);
  // Waits until the socket is ready for `events`; what poll reported.
  int Poll(int events, int timeout_ms) const;

  const HostPort monitor_;
  const time::Clock& clock_;
  std::vector<SocketAddress> addresses_;  // of the monitor, to be tried from next_address_ on
  size_t next_address_ = 0;
  std::shared_ptr<Lookup> lookup_;  // under way; shared with its thread, which may outlive the link
  std::string unresolved_;          // why the name stands for nothing; empty: it does, or is not known yet
  State state_ = State::kIdle;
  int socket_ = -1;
  int error_ = 0;                // errno of the last trouble; 0 = none, or the monitor closed the connection
  int64_t retry_ns_ = 0;         // monotonic: when to connect next, or to give up connecting
  int64_t changed_wall_ns_ = 0;  // when it was connected or lost
  std::deque<wire::CounterRecord> queue_;
  std::array<std::byte, wire::kCounterRecordBytes> sending_;
  size_t sending_left_ = 0;  // bytes of it to go; 0 = none is being sent
  uint64_t sent_ = 0;
  uint64_t dropped_ = 0;
  bool ever_tried_ = false;
  bool said_connected_ = false;
  bool ever_said_ = false;
  int64_t said_ns_ = 0;
};

}  // namespace hongbao::watch
