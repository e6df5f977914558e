// ServicePlan: how many workers and sets a service needs, from what it is asked for and what the process may have.
//
// Owns nothing. Raises the soft limit of open files to the hard one, and never anything that needs a privilege.
// Thread tag: thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <string>

#include "absl/status/statusor.h"
#include "libhongbao/address.h"
#include "libhongbao/net/worker_options.h"
#include "libhongbao/ring/kernel_features.h"
#include "libhongbao/ring/socket_options.h"

namespace hongbao::net {

// For those who have measured; every 0 and -1 leaves the choice to the plan. docs/PERFORMANCE.md has what was found.
struct Tuning {
  uint32_t batch_wait_us = 100;  // see WorkerOptions; 0 = a worker under load does not gather, it looks at once
  uint32_t sets_per_worker = 0;  // at least as many as connections_max needs
  uint32_t receive_buffers = 0;  // per set, a power of two
  int64_t first_processor = -1;  // worker i is pinned to processor first + i; -1 = not pinned
};

struct ServiceOptions {
  bool listen = true;                                              // false: a service that only connects
  SocketAddress listen_address = SocketAddress::Ipv4(INADDR_ANY);  // port 0 = a free one
  uint32_t connections_max = 1'000;
  uint32_t workers = 0;  // 0 = one per processor
  uint32_t login_deadline_ms = 5'000;
  uint32_t frame_deadline_ms = 5'000;
  uint32_t idle_timeout_ms = 240'000;
  uint32_t unsent_bytes_max = 4'096;
  uint32_t room_bytes = 0;  // see PortOptions
  uint32_t owed_bytes = 0;
  uint32_t unsent_deadline_ms = 15'000;
  ring::SocketOptions sockets{};
  BulkOptions bulk{};               // of each set: nobody knows which of them the kernel gives a connection to
  uint32_t inbox_messages = 4'096;  // a power of two, at least 2
  Tuning tuning{};
  uint32_t completion_entries = 0;  // per set, at least 16; for tests, 0 = chosen
  // A connection's slot is its file descriptor, for who must ask the kernel about it (getpeername); costs descriptors.
  bool regular_descriptors = false;
};

struct ServicePlan {
  uint32_t workers = 0;
  uint32_t sets = 0;     // over all workers, a multiple of them
  uint32_t backlog = 0;  // per listener
  WorkerOptions worker{};
  ring::Features features{};
  uint64_t table_bytes = 0;  // user-space memory when every slot is in use

  uint64_t ring_bytes() const;  // locked memory that the kernel needs for all rings
  // Halves the rings and their buffers: slower under load, and they fit. False: they are as small as they can be.
  bool Shrink();
  bool shrunk = false;

  std::string processors_limit{};  // why there are no more workers, where the machine has more processors

  std::string ToString() const;  // "2 workers, 56 sets of 20000 slots, ..."
};

// Errors name the limit, its value, and the command that raises it.
absl::StatusOr<ServicePlan> PlanService(const ServiceOptions& options);

// What the process may have.
struct Limits {
  uint64_t open_files = 1'024;
  uint64_t open_files_now = 0;         // of them in use when the service starts: inherited, or the program's own
  uint64_t locked_bytes = kUnlimited;  // of all rings of all processes of the user
  uint32_t processors = 1;             // that the process may use
  std::string processors_limit = "";   // what makes them fewer than the machine has (processors.h)

  static constexpr uint64_t kUnlimited = std::numeric_limits<uint64_t>::max();
  static Limits OfThisProcess();
};

// The arithmetic of PlanService.
absl::StatusOr<ServicePlan> PlanSets(const ServiceOptions& options, const ring::Features& features, const Limits& limits);

}  // namespace hongbao::net
