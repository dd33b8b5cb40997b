/**
 * @file plugin.cpp
 * @brief The plugin of dlopen_plugin.cpp: an ordinary module that knows nothing of any allocator.
 */
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace {

// Allocated by a constructor that dlopen runs, freed by a destructor that dlclose runs.
std::vector<std::string> at_load(500, std::string(60, 'p'));

}  // namespace

extern "C" {

[[gnu::visibility("default")]] void* plugin_make(std::size_t bytes) {
    void* const block = std::malloc(bytes);
    if (block != nullptr) {
        std::memset(block, 0x42, bytes);
    }
    return block;
}

[[gnu::visibility("default")]] void plugin_release(void* block) { std::free(block); }

[[gnu::visibility("default")]] std::string* plugin_text(std::size_t length) {
    return new std::string(length, 't');
}

/** Grows a thread's own vector; its destructor is this plugin's code. */
[[gnu::visibility("default")]] std::size_t plugin_remember(std::size_t value) {
    thread_local std::vector<std::unique_ptr<std::size_t>> remembered;
    remembered.push_back(std::make_unique<std::size_t>(value));
    return remembered.size() + at_load.size();
}
}
