#include "libhongbao/admin/json_lines.h"

#include <string>

#include "nlohmann/json.hpp"

namespace hongbao::admin {

void JsonLines::Write(const nlohmann::json& document) {
  if (gone_) {
    return;
  }
  const std::string line = document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  gone_ = std::fwrite(line.data(), 1, line.size(), out_) != line.size() || std::fflush(out_) != 0;
}

}  // namespace hongbao::admin
