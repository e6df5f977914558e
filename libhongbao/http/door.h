// HttpDoor: the connections of the HTTP side: takes them, reads one request from each, and writes its answer.
//
// Owns its thread, which waits for all peers at once and never for one of them, and two lanes of one thread each, on
// which answers are made: one for what only looks, one for commands. So neither an idle or slow peer nor a long command
// delays anybody else's look. Bounded: connections (the oldest that is idle makes room), the time for a request and for
// its answer, the bytes of both, and the requests that wait for a lane. One request a connection: what a peer sends
// behind it is read and forgotten.
// Never parses what a request means. Thread tag: Start and Stop thread-compatible; counts thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "libhongbao/http/head.h"

namespace hongbao::http {

class EventStreams;

struct HttpLimits {
  size_t head_bytes_max = 16 << 10;  // request line and headers
  size_t body_bytes_max = 64 << 10;
  size_t connections_max = 128;         // beside event streams
  size_t waiting_max = 64;              // requests that wait for a lane
  size_t answers_bytes_max = 32 << 20;  // of all answers that peers have not taken yet; beyond it the oldest goes
  int64_t request_deadline_ms = 3'000;  // for the whole of a request to arrive
  int64_t answer_deadline_ms = 30'000;  // for the whole of its answer to be taken
};

struct HttpCounts {
  uint64_t connections = 0;  // taken
  uint64_t requests = 0;     // that came whole and within limits
  uint64_t refused = 0;      // answered with an error before any route: malformed, too large, a full lane
  uint64_t dropped_for_room = 0;
  uint64_t dropped_late = 0;  // a deadline passed
};

class HttpDoor {
 public:
  // kAtOnce: on the door's own thread, for what is ready and short.
  enum class Lane : uint8_t { kAtOnce, kLook, kCommand };
  struct Answer {
    std::string bytes{};              // the whole of it; empty: the connection is closed without a word
    EventStreams* streams = nullptr;  // takes the connection over instead
  };
  using LaneOf = std::function<Lane(const HttpHead& head)>;
  using Answerer = std::function<Answer(const HttpHead& head, const std::string& body)>;  // on any of the three threads

  HttpDoor();
  ~HttpDoor();  // stops
  HttpDoor(const HttpDoor&) = delete;
  HttpDoor& operator=(const HttpDoor&) = delete;

  // Takes the listening socket. All signals stay blocked on its threads. Fails when the process is out of descriptors.
  absl::Status Start(int listener, const HttpLimits& limits, LaneOf lane_of, Answerer answerer);
  // Waits for the answer that a lane is making, if any; closes all connections. Idempotent.
  void Stop();

  HttpCounts counts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace hongbao::http
