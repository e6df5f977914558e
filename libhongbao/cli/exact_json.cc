#include "libhongbao/cli/exact_json.h"

#include <utility>
#include <vector>

#include "nlohmann/json.hpp"

namespace hongbao::cli {
namespace {

using nlohmann::json;

constexpr int64_t kExactMax = (int64_t{1} << 53) - 1;

bool IsWide(const json& value) {
  return value.is_number_unsigned() ? value.get<uint64_t>() > static_cast<uint64_t>(kExactMax)
                                    : value.is_number_integer() && !IsExactInDoubles(value.get<int64_t>());
}

bool HasWide(const json& value) {
  if (!value.is_structured()) {
    return IsWide(value);
  }
  for (const json& part : value) {
    if (HasWide(part)) {
      return true;
    }
  }
  return false;
}

void AddTexts(json& value) {
  std::vector<std::pair<std::string, std::string>> texts;
  for (auto part = value.begin(); part != value.end(); ++part) {
    if (part->is_structured()) {
      AddTexts(*part);
    } else if (value.is_object() && IsWide(*part)) {
      texts.emplace_back(part.key() + "_text", part->dump());
    }
  }
  for (auto& [name, text] : texts) {
    value[name] = std::move(text);
  }
}

}  // namespace

bool IsExactInDoubles(int64_t number) { return number >= -kExactMax && number <= kExactMax; }

std::string Dump(const json& document, int indent) {
  constexpr auto kReplace = json::error_handler_t::replace;
  if (!HasWide(document)) {
    return document.dump(indent, ' ', false, kReplace);
  }
  json exact = document;
  AddTexts(exact);
  return exact.dump(indent, ' ', false, kReplace);
}

}  // namespace hongbao::cli
