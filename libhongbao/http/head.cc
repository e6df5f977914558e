#include "libhongbao/http/head.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace hongbao::http {
namespace {

constexpr size_t kChunkLineBytesMax = 256;  // its length and extensions that nobody reads

// The next line without its end, which is CR LF or LF; false: it has no end yet.
bool TakeLine(absl::string_view* bytes, absl::string_view* line) {
  const size_t end = bytes->find('\n');
  if (end == absl::string_view::npos) {
    return false;
  }
  *line = bytes->substr(0, end);
  bytes->remove_prefix(end + 1);
  if (!line->empty() && line->back() == '\r') {
    line->remove_suffix(1);
  }
  return true;
}

bool IsToken(absl::string_view name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("!#$%&'*+-.^_`|~", static_cast<char>(c));
  });
}

bool IsText(absl::string_view value) {
  return std::none_of(value.begin(), value.end(), [](unsigned char c) { return c < ' ' && c != '\t'; });
}

HttpRefusal TakeRequestLine(absl::string_view line, HttpHead* parsed) {
  const size_t first = line.find(' ');
  const size_t last = line.rfind(' ');
  if (first == absl::string_view::npos || first == last || !IsToken(line.substr(0, first)) || !IsText(line) ||
      !absl::StartsWith(line.substr(last + 1), "HTTP/1.")) {
    return {400, "this is no HTTP/1.1 request"};
  }
  parsed->request_line = std::string(line);
  parsed->method = std::string(line.substr(0, first));
  parsed->target = std::string(line.substr(first + 1, last - first - 1));
  return {};
}

const std::string* ValueOf(const HttpHead& head, absl::string_view name, size_t* count) {
  const std::string* found = nullptr;
  *count = 0;
  for (const auto& [key, value] : head.headers) {
    if (key == name) {
      found = &value;
      ++*count;
    }
  }
  return found;
}

// How the body is framed. Two readings of one length, as a proxy and this process might have, are refused.
HttpRefusal TakeFraming(size_t body_bytes_max, HttpHead* parsed) {
  size_t lengths = 0, codings = 0, expectations = 0, count = 0;
  const std::string* const length = ValueOf(*parsed, "content-length", &lengths);
  const std::string* const coding = ValueOf(*parsed, "transfer-encoding", &codings);
  const std::string* const expected = ValueOf(*parsed, "expect", &expectations);
  if (ValueOf(*parsed, "range", &count) != nullptr || ValueOf(*parsed, "content-encoding", &count) != nullptr) {
    return {400, "Range and Content-Encoding are not understood here"};
  }
  ValueOf(*parsed, "host", &count);
  if (count > 1 || lengths + codings > 1) {
    return {400, "Host and the length of the body are said once"};
  }
  if (coding != nullptr) {
    parsed->is_chunked = absl::EqualsIgnoreCase(*coding, "chunked");
    return parsed->is_chunked ? HttpRefusal{} : HttpRefusal{501, "the only transfer coding here is chunked"};
  }
  if (expected != nullptr && (expectations > 1 || !absl::EqualsIgnoreCase(*expected, "100-continue"))) {
    return {417, "the only expectation here is 100-continue"};
  }
  if (length == nullptr) {
    return {};
  }
  if (length->empty() || !std::all_of(length->begin(), length->end(), absl::ascii_isdigit)) {
    return {400, "Content-Length is a number"};
  }
  uint64_t bytes = 0;
  if (!absl::SimpleAtoi(*length, &bytes) || bytes > body_bytes_max) {
    return {413, "the request's body is too large"};
  }
  parsed->body_bytes = static_cast<size_t>(bytes);
  return {};
}

const char* PhraseOf(int status) {
  switch (status) {
    case 400:
      return "Bad Request";
    case 413:
      return "Payload Too Large";
    case 417:
      return "Expectation Failed";
    case 431:
      return "Request Header Fields Too Large";
    case 501:
      return "Not Implemented";
    default:
      return "Service Unavailable";
  }
}

}  // namespace

size_t HeadLength(absl::string_view bytes, size_t from) {
  for (size_t at = bytes.find('\n', from); at != absl::string_view::npos; at = bytes.find('\n', at + 1)) {
    const absl::string_view rest = bytes.substr(at + 1);
    if (absl::StartsWith(rest, "\n") || absl::StartsWith(rest, "\r\n")) {
      return at + 1 + (rest[0] == '\n' ? 1 : 2);
    }
  }
  return 0;
}

HttpRefusal ParseHead(absl::string_view head, size_t body_bytes_max, HttpHead* parsed) {
  absl::string_view line;
  TakeLine(&head, &line);
  if (const HttpRefusal refusal = TakeRequestLine(line, parsed); refusal.status != 0) {
    return refusal;
  }
  while (TakeLine(&head, &line) && !line.empty()) {
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || !IsToken(line.substr(0, colon)) || !IsText(line)) {
      return {400, "a header is a name, a colon and a value, on one line"};
    }
    parsed->headers.emplace_back(absl::AsciiStrToLower(line.substr(0, colon)),
                                 std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }
  const HttpRefusal refusal = TakeFraming(body_bytes_max, parsed);
  size_t count = 0;
  parsed->expects_continue = ValueOf(*parsed, "expect", &count) != nullptr && absl::EndsWith(parsed->request_line, "1.1");
  return refusal;
}

ChunkReader::State ChunkReader::Take(absl::string_view bytes, size_t body_bytes_max, std::string* body) {
  for (;;) {
    absl::string_view rest = bytes.substr(at_);
    absl::string_view line;
    if (!TakeLine(&rest, &line)) {
      return rest.size() > kChunkLineBytesMax ? State::kWrong : State::kMore;
    }
    if (is_last_) {  // trailers, until the empty line
      at_ = bytes.size() - rest.size();
      if (line.empty()) {
        return State::kWhole;
      }
      continue;
    }
    const absl::string_view digits = absl::StripAsciiWhitespace(line.substr(0, line.find(';')));
    uint64_t size = 0;
    if (digits.empty() || digits.size() > 15 || !std::all_of(digits.begin(), digits.end(), absl::ascii_isxdigit) ||
        !absl::SimpleHexAtoi(digits, &size)) {
      return State::kWrong;
    }
    if (body->size() + size > body_bytes_max) {
      return State::kTooLarge;
    }
    if (size > 0) {
      if (rest.size() < size) {
        return State::kMore;
      }
      const absl::string_view data = rest.substr(0, size);
      rest.remove_prefix(size);
      if (!TakeLine(&rest, &line)) {
        return rest.size() > 1 ? State::kWrong : State::kMore;
      }
      if (!line.empty()) {
        return State::kWrong;
      }
      absl::StrAppend(body, data);
    }
    is_last_ = size == 0;
    at_ = bytes.size() - rest.size();
  }
}

std::string WholeRequest(const HttpHead& head, absl::string_view body) {
  std::string text = absl::StrCat(head.request_line, "\r\n");
  for (const auto& [name, value] : head.headers) {
    if (name != "expect" && name != "transfer-encoding" && name != "content-length") {
      absl::StrAppend(&text, name, ": ", value, "\r\n");
    }
  }
  // A POST without a body may leave its length out (curl -X POST); httplib would wait for one.
  return absl::StrCat(text, "content-length: ", body.size(), "\r\n\r\n", body);
}

std::string RefusalAnswer(const HttpRefusal& refusal) {
  const std::string body = nlohmann::json({{"error", refusal.reason}}).dump() + "\n";
  return absl::StrCat("HTTP/1.1 ", refusal.status, " ", PhraseOf(refusal.status),
                      "\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: ", body.size(), "\r\n\r\n",
                      body);
}

}  // namespace hongbao::http
