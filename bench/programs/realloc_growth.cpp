// bench_realloc_growth BUFFERS [--largest N]
//
// Buffers that grow by half with realloc, as strings and arrays do, each a little in turn, from 16
// bytes to the largest size. What is new of a buffer is written; what was written is checked.
#include "program.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

namespace {

constexpr std::size_t first_bytes = 16;
constexpr std::size_t growing_together = 8;

struct Buffer {
    char* data = nullptr;
    std::size_t bytes = 0;
};

void grow(Buffer& buffer, std::size_t bytes) {
    auto* const data = static_cast<char*>(std::realloc(buffer.data, bytes));
    if (data == nullptr) programs::give_up("realloc returned null");
    if (buffer.bytes != 0 && data[buffer.bytes - 1] != 'x') programs::give_up("bytes were lost");
    std::memset(data + buffer.bytes, 'x', bytes - buffer.bytes);
    buffer = {data, bytes};
}

}  // namespace

int main(int argc, char** argv) {
    programs::Arguments arguments("bench_realloc_growth", "Buffers that grow by realloc.");
    std::uint64_t count = 0;
    std::size_t largest = std::size_t{4} << 20U;
    arguments.required("BUFFERS", count, "that grow to the end", programs::operations_range);
    arguments.optional("--largest", largest, "size of a buffer, in bytes (4 MiB)",
                       programs::size_range);
    return arguments.run(argc, argv, [&] {
        std::uint64_t operations = 0;
        const programs::Meter meter;
        for (std::uint64_t done = 0; done < count; done += growing_together) {
            std::vector<Buffer> buffers(std::min<std::uint64_t>(growing_together, count - done));
            for (std::size_t bytes = std::min(first_bytes, largest);;) {
                for (Buffer& buffer : buffers) grow(buffer, bytes);
                operations += buffers.size();
                if (bytes == largest) break;
                bytes = std::min(bytes + bytes / 2 + 1, largest);
            }
            for (const Buffer& buffer : buffers) std::free(buffer.data);
        }
        return programs::Outcome{operations, meter.stop()};
    });
}
