// HttpHead: where one HTTP/1.1 request ends, and what its head says about that.
//
// Owns the framing: the empty line, Content-Length, chunks, Expect; and the refusals that stand before any route. The
// headers keep the order in which they came. What a request means is left to httplib, which gets it whole.
// Thread tag: thread-compatible.
#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "libhongbao/cpp20.h"

namespace hongbao::http {

struct HttpHead {
  std::string method{};
  std::string target{};  // as it was sent: path and query, not decoded
  std::string request_line{};
  std::vector<std::pair<std::string, std::string>> headers{};  // names in lower case, in the order of the request
  size_t body_bytes = 0;
  bool is_chunked = false;  // then body_bytes is not known
  bool expects_continue = false;
};

// Why a request is not served. status 0: it is.
struct HttpRefusal {
  int status = 0;
  const char* reason = "";
};

// The length of the head in `bytes`, its empty line included; 0: it has not ended yet. Bytes before `from` were searched
// before.
size_t HeadLength(absl::string_view bytes, size_t from);

// `head` as HeadLength measured it. A body longer than `body_bytes_max` is refused.
HttpRefusal ParseHead(absl::string_view head, size_t body_bytes_max, HttpHead* parsed);

// Takes the chunks of a body out of the bytes behind the head, as they come.
class ChunkReader {
 public:
  enum class State { kMore, kWhole, kWrong, kTooLarge };

  // `bytes`: all that has come behind the head, the same and more at each call.
  State Take(absl::string_view bytes, size_t body_bytes_max, std::string* body);

 private:
  size_t at_ = 0;  // where the next chunk begins
  bool is_last_ = false;
};

// The request as httplib gets it: one head without what this file has dealt with, and a body of a stated length.
std::string WholeRequest(const HttpHead& head, absl::string_view body);

// "HTTP/1.1 STATUS PHRASE", Connection: close, and {"error": reason}.
std::string RefusalAnswer(const HttpRefusal& refusal);

}  // namespace hongbao::http
