// Help: how --help looks, the same in every program.
//
// Owns: the layout: what the program is, its usage, the options of each group (name, value, meaning, default), and the
// footer as the program wrote it (examples, exit codes). At most 100 columns. tools/manual reads it back to make the
// man pages and the shell's completion, so the layout is a contract: two spaces before a flag's names, two or more
// behind. Never prints. Thread tag: thread-compatible.
#pragma once

#include <string>

#include "libhongbao/cpp20.h"

namespace CLI {
class App;
}  // namespace CLI

namespace hongbao::cli {

// Gives `app` this layout, the name `program`, and the flags -h, --help and --version.
void SetUpHelp(CLI::App& app, const std::string& program, const std::string& version);

// `text` broken at blanks into lines of at most `columns`; each but the first begins with `indent` blanks.
std::string Wrap(const std::string& text, size_t columns, size_t indent);

}  // namespace hongbao::cli
