// EventStreams: the connections of those who look on, each fed with every message as a server-sent event.
//
// Owns the sockets from Take on. Never waits for anybody and has no thread: a peer that is gone, has shut down its side or does
// not keep up loses its connection; a browser comes back by itself and asks /v1/history for what it missed. Of a connection whose
// peer falls silent without a word, the kernel tells within kSilenceMs once something is published.
// Thread tag: thread-safe (the admin's threads hand sockets over, the reporter publishes).
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "absl/strings/string_view.h"
#include "libhongbao/cpp20.h"

namespace hongbao::http {

class EventStreams {
 public:
  static constexpr size_t kStreamsMax = 64;
  static constexpr int kSendBufferBytes = 64 << 10;  // the kernel takes the double: minutes of rows
  static constexpr unsigned kSilenceMs = 30'000;

  EventStreams() = default;
  ~EventStreams() { Close(); }
  EventStreams(const EventStreams&) = delete;
  EventStreams& operator=(const EventStreams&) = delete;

  // Answers the request that came in by `socket` and keeps the socket. False: there are kStreamsMax already, or Close has been
  // called; the socket stays the caller's, and nothing has been sent.
  bool Take(int socket);

  // `event` is one whole event: fields, each on a line of its own, and an empty line.
  void Publish(absl::string_view event);

  // Ends all streams, and takes no more.
  void Close();

  // Streams whose peer was there when somebody last looked.
  size_t size() const;

 private:
  void DropGone();

  mutable std::mutex mutex_;
  std::vector<int> sockets_;
  bool closed_ = false;
};

}  // namespace hongbao::http
