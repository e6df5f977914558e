// Runs a fuzz target without libFuzzer, so that every build and every compiler runs it: files given on the command
// line, or, without any, seeded random inputs (-runs=N of them): half are plausible frames with a few bytes changed,
// half are any bytes at all.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

constexpr uint8_t kLengths[] = {16, 20, 24, 28, 36, 44, 224, 228};

// Frame-like: lengths that exist, types that exist, small counts; then some damage.
std::vector<uint8_t> RandomFrames(std::mt19937_64& random) {
  std::vector<uint8_t> input{static_cast<uint8_t>(random()), static_cast<uint8_t>(random())};
  for (uint64_t frames = random() % 6; frames > 0; --frames) {
    const uint8_t length = random() % 4 != 0 ? kLengths[random() % std::size(kLengths)] : static_cast<uint8_t>(random());
    std::vector<uint8_t> frame(length < 4 ? 4 : length);
    for (uint8_t& byte : frame) byte = random() % 3 == 0 ? static_cast<uint8_t>(random()) : 0;
    frame[0] = random() % 64 == 0;
    frame[1] = length;
    frame[2] = 0;
    frame[3] = static_cast<uint8_t>(random() % 12);
    if (frame.size() >= 24 && random() % 4 != 0) {  // a count that fits, a result that exists
      frame[16] = frame[17] = frame[18] = frame[20] = frame[21] = frame[22] = 0;
      frame[19] = static_cast<uint8_t>(random() % 2 != 0 ? 14 + random() % 5 : random() % 4);
      frame[23] = static_cast<uint8_t>((length - 24) / 4);
    }
    input.insert(input.end(), frame.begin(), frame.end());
  }
  if (random() % 4 == 0) input.resize(2 + random() % (input.size() - 1));
  if (random() % 4 == 0) input[random() % input.size()] = static_cast<uint8_t>(random());
  return input;
}

std::vector<uint8_t> RandomBytes(std::mt19937_64& random) {
  std::vector<uint8_t> input(random() % 400);
  for (uint8_t& byte : input) byte = static_cast<uint8_t>(random());
  return input;
}

}  // namespace

int main(int argc, char** argv) {
  int runs = 100'000;
  bool files = false;
  for (int i = 1; i < argc; ++i) {
    if (std::string(argv[i]).starts_with("-runs=")) {
      runs = std::atoi(argv[i] + 6);
      continue;
    }
    files = true;
    std::ifstream file(argv[i], std::ios::binary);
    if (!file) {
      std::fprintf(stderr, "cannot read %s\n", argv[i]);
      return 1;
    }
    const std::vector<char> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  if (files) return 0;
  std::mt19937_64 random(1025);
  for (int i = 0; i < runs; ++i) {
    const std::vector<uint8_t> input = i % 2 == 0 ? RandomFrames(random) : RandomBytes(random);
    LLVMFuzzerTestOneInput(input.data(), input.size());
  }
  return 0;
}
