#include "libhongbao/net/service_plan.h"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "libhongbao/net/processors.h"

namespace hongbao::net {
namespace {

// The kernel's limit for a table of direct descriptors, and for entries of a buffer ring.
constexpr uint64_t kTableMax = 1u << 20;
// SO_REUSEPORT spreads by hash: with tables filled to 90 % on average none overflows (18,000 of 20,000: 15 sigma).
constexpr uint64_t kFillPercent = 90;
// Descriptors a process needs besides connections: standard ones, report, HTTP, eventfds.
constexpr uint64_t kOwnDescriptors = 64;
// Regular descriptors: numbers that a process which does more than serve may use for itself.
constexpr uint64_t kOtherDescriptors = 8'192;
// An application's addresses have 8 bits for the worker.
constexpr uint32_t kWorkersMax = 256;
// Rings are not made smaller than this.
constexpr uint32_t kSubmissionEntriesMin = 64;
constexpr uint32_t kCompletionEntriesMin = 256;
constexpr uint32_t kBuffersMin = 64;

absl::Status TooFewDescriptors(uint64_t wanted, const Limits& limits) {
  const bool inherited = limits.open_files_now > kOwnDescriptors;
  const std::string in_use = inherited ? absl::StrCat(" (", limits.open_files_now, " are open already)") : "";
  return absl::ResourceExhaustedError(absl::StrCat(
      wanted, " connections need ", wanted + kOwnDescriptors, " open files, the hard limit is ", limits.open_files, in_use,
      "; raise it (ulimit -Hn, as root, or LimitNOFILE= of the unit), ask for fewer connections, or use Linux 6.13 or "
      "newer, where connections do not count"));
}

uint64_t OpenDescriptors() {
  uint64_t count = 0;
  if (DIR* folder = opendir("/proc/self/fd")) {
    while (readdir(folder) != nullptr) {
      ++count;
    }
    closedir(folder);
  }
  return count > 3 ? count - 3 : 0;  // without ".", ".." and the folder itself
}

uint64_t LockedBytes() {
  rlimit limit = {};
  getrlimit(RLIMIT_MEMLOCK, &limit);
  return limit.rlim_cur == RLIM_INFINITY ? Limits::kUnlimited : limit.rlim_cur;
}

absl::Status Validate(const ServiceOptions& options) {
  if (options.connections_max == 0) {
    return absl::InvalidArgumentError("connections_max is 0; ask for at least one connection");
  }
  if (options.frame_deadline_ms == 0) {
    return absl::InvalidArgumentError("frame_deadline_ms is 0; a partial frame must have a deadline");
  }
  if (options.inbox_messages < 2 || !std::has_single_bit(options.inbox_messages)) {
    return absl::InvalidArgumentError("inbox_messages must be a power of two, at least 2");
  }
  if (options.tuning.receive_buffers != 0 && !std::has_single_bit(options.tuning.receive_buffers)) {
    return absl::InvalidArgumentError("receive_buffers must be a power of two");
  }
  if (options.completion_entries != 0 && options.completion_entries < 16) {
    return absl::InvalidArgumentError("completion_entries must be at least 16");
  }
  if (options.workers > kWorkersMax) {
    return absl::InvalidArgumentError(absl::StrCat("workers is ", options.workers, "; it must be at most ", kWorkersMax));
  }
  return absl::OkStatus();
}

}  // namespace

Limits Limits::OfThisProcess() {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur < limit.rlim_max) {
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  const Processors processors = UsableProcessors();
  return {.open_files = limit.rlim_cur,
          .open_files_now = OpenDescriptors(),
          .locked_bytes = LockedBytes(),
          .processors = processors.count,
          .processors_limit = processors.limit};
}

absl::StatusOr<ServicePlan> PlanSets(const ServiceOptions& options, const ring::Features& features, const Limits& limits) {
  const uint64_t open_files_limit = limits.open_files;
  if (absl::Status status = Validate(options); !status.ok()) {
    return status;
  }
  ServicePlan plan;
  plan.features = features;
  plan.workers = options.workers != 0 ? options.workers : std::min(limits.processors, kWorkersMax);
  // Also when a caller has asked for that number because a plan before this one said so.
  plan.processors_limit = plan.workers == limits.processors ? limits.processors_limit : "";
  const uint64_t wanted = options.connections_max;
  uint64_t slots = 0;
  if (features.direct_descriptors) {
    const uint64_t table = std::min(open_files_limit, kTableMax);
    const uint64_t usable = std::max<uint64_t>(table * kFillPercent / 100, 1);
    const uint64_t per_worker = (wanted + plan.workers - 1) / plan.workers;
    plan.worker.sets = std::max(static_cast<uint32_t>((per_worker + usable - 1) / usable), options.tuning.sets_per_worker);
    plan.sets = plan.worker.sets * plan.workers;
    if (plan.sets * 2 + kOwnDescriptors > open_files_limit) {
      return absl::ResourceExhaustedError(absl::StrCat(wanted, " connections need ", plan.sets,
                                                       " rings and listeners, more than the limit of open files (",
                                                       open_files_limit, ") allows; raise it with: ulimit -n"));
    }
    // A small service may see all its connections hashed to one set; 1 % more lets a full one say so before it closes.
    slots = std::min(table, wanted + wanted / 100 + kOwnDescriptors);
  } else {
    plan.worker.sets = std::max(1u, options.tuning.sets_per_worker);
    plan.sets = plan.worker.sets * plan.workers;
    if (wanted + std::max(kOwnDescriptors, limits.open_files_now) > open_files_limit) {
      return TooFewDescriptors(wanted, limits);
    }
    // A slot is a descriptor's number, and any worker may be given any of them. The kernel gives out the lowest free one,
    // so that a limit of a billion needs no table of that size.
    slots = std::min(open_files_limit, wanted + wanted / 100 + kOwnDescriptors + kOtherDescriptors + limits.open_files_now);
  }
  plan.worker.port = {.slots = static_cast<uint32_t>(slots),
                      .direct_descriptors = features.direct_descriptors,
                      .login_deadline_ms = options.login_deadline_ms,
                      .frame_deadline_ms = options.frame_deadline_ms,
                      .idle_timeout_ms = options.idle_timeout_ms,
                      .unsent_bytes_max = std::max(options.unsent_bytes_max, 2 * kFrameBytesMax),
                      .room_bytes = options.room_bytes,
                      .owed_bytes = options.owed_bytes,
                      .unsent_deadline_ms = std::max(options.unsent_deadline_ms, 1u),
                      .sockets = options.sockets,
                      .bulk = options.bulk};
  if (options.bulk.connections > 0) {
    // Each is lent out for a part of a turn: few of them, used again while they are in the cache.
    plan.worker.ring.bulk_buffers = std::bit_ceil(std::clamp(2 * options.bulk.connections, 4u, 16u));
    plan.worker.ring.bulk_buffer_bytes = options.bulk.receive_bytes;
  }
  plan.worker.ring.slots = static_cast<uint32_t>(slots);
  // Many sets on a worker see few completions each: their rings stay small, as all of them go through the cache.
  const auto chosen = [](uint32_t asked, uint32_t otherwise) { return asked != 0 ? asked : otherwise; };
  const bool one = plan.worker.sets == 1;
  plan.worker.ring.completion_entries = chosen(options.completion_entries, one ? 16384 : 4096);
  plan.worker.ring.submission_entries = std::min(one ? 4096u : 512u, plan.worker.ring.completion_entries / 2);
  plan.worker.ring.buffers = chosen(options.tuning.receive_buffers, one ? 4096 : 256);
  plan.worker.batch_wait_us = options.tuning.batch_wait_us;
  // Well below the CQ: one multishot accept takes in a whole backlog.
  plan.backlog = std::max(plan.worker.ring.completion_entries / 4, 128u);
  plan.table_bytes = wanted * sizeof(Connection);
  // Half of what the user may lock: the other side may be the same user's.
  while (features.locked_rings && plan.ring_bytes() > limits.locked_bytes / 2 && plan.Shrink()) {
  }
  return plan;
}

uint64_t ServicePlan::ring_bytes() const {
  const ring::RingOptions& ring = worker.ring;
  // Submissions of 64 bytes and their index, completions, and 16 bytes for each receive buffer that is lent; each in pages.
  const uint64_t pages = (uint64_t{ring.submission_entries} * 64 + 4'095) / 4'096 +
                         (uint64_t{ring.completion_entries} * 16 + uint64_t{ring.submission_entries} * 4 + 8'191) / 4'096 +
                         (uint64_t{ring.buffers} * 16 + 4'095) / 4'096 + (ring.bulk_buffers > 0 ? 1 : 0);
  return pages * 4'096 * sets;
}

bool ServicePlan::Shrink() {
  ring::RingOptions& ring = worker.ring;
  const auto halve = [](uint32_t& value, uint32_t least) {
    const bool may = value / 2 >= least;
    value /= may ? 2 : 1;
    return may;
  };
  bool smaller = halve(ring.submission_entries, kSubmissionEntriesMin);
  smaller |= halve(ring.completion_entries, kCompletionEntriesMin);
  smaller |= halve(ring.buffers, kBuffersMin);
  shrunk |= smaller;
  return smaller;
}

absl::StatusOr<ServicePlan> PlanService(const ServiceOptions& options) {
  absl::StatusOr<ring::Features> features = ring::ProbeFeatures();
  if (!features.ok()) {
    return features.status();
  }
  features->direct_descriptors &= !options.regular_descriptors;
  return PlanSets(options, *features, Limits::OfThisProcess());
}

std::string ServicePlan::ToString() const {
  const std::string why = processors_limit.empty() ? "" : absl::StrCat(" (", processors_limit, ")");
  return absl::StrCat(workers, workers == 1 ? " worker" : " workers", why, ", ", sets, sets == 1 ? " set of " : " sets of ",
                      worker.port.slots, " slots, ", features.ToString(), shrunk ? ", small rings (limit of locked memory)" : "");
}

}  // namespace hongbao::net
