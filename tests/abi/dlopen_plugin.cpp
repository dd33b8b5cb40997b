/**
 * @file dlopen_plugin.cpp
 * @brief A plugin is opened, allocates, frees the host's blocks and is closed again.
 *
 * Blocks cross the boundary in both directions, and outlive the plugin. Opened with RTLD_DEEPBIND,
 * a plugin finds the C library's malloc before a preloaded one: its blocks are then foreign to the
 * host, and freeing them is where the policy for foreign pointers earns its keep.
 * The first argument is the path of the plugin.
 */
#include <array>
#include <string>

#include <dlfcn.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

void* (*plugin_make)(std::size_t);
void (*plugin_release)(void*);
std::string* (*plugin_text)(std::size_t);
std::size_t (*plugin_remember)(std::size_t);

void* open_plugin(const char* path, int flags) {
    void* const plugin = dlopen(path, flags);
    if (plugin == nullptr) {
        check::Line().add(dlerror()).put(2);
    }
    CHECK(plugin != nullptr);
    plugin_make = reinterpret_cast<decltype(plugin_make)>(dlsym(plugin, "plugin_make"));
    plugin_release = reinterpret_cast<decltype(plugin_release)>(dlsym(plugin, "plugin_release"));
    plugin_text = reinterpret_cast<decltype(plugin_text)>(dlsym(plugin, "plugin_text"));
    plugin_remember = reinterpret_cast<decltype(plugin_remember)>(dlsym(plugin, "plugin_remember"));
    CHECK(plugin_make != nullptr && plugin_release != nullptr);
    CHECK(plugin_text != nullptr && plugin_remember != nullptr);
    return plugin;
}

void* remember_much(void*) {
    for (std::size_t i = 0; i < 1000; ++i) {
        CHECK(plugin_remember(i) > i);
    }
    return nullptr;
}

void check_byte(void* block, std::size_t at) {
    CHECK_EQ(static_cast<int>(static_cast<unsigned char*>(block)[at]), 0x42);
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    CHECK_LE(2, argc);
    deadline(60);
    std::array<void*, 300> outliving{};
    for (int round = 0; round < 10; ++round) {
        void* const plugin = open_plugin(argv[1], RTLD_NOW | RTLD_LOCAL);
        Random random(static_cast<std::uint64_t>(round));
        for (void*& block : outliving) {
            subject_free(block);
            const std::size_t size = random.size(200 * kib);
            block = plugin_make(size);
            CHECK(block != nullptr);
            check_byte(block, size - 1);
            plugin_release(subject_malloc(size));
        }
        delete plugin_text(10000);
        thread_join(thread_start(remember_much));
        thread_join(thread_start(remember_much));
        CHECK_EQ(dlclose(plugin), 0);
    }
    for (void* const block : outliving) {
        check_byte(block, 0);
        subject_free(block);
    }
    // Bound deeply; the pointers go back to where they came from, one way or the other.
    open_plugin(argv[1], RTLD_NOW | RTLD_LOCAL | RTLD_DEEPBIND);
    for (std::size_t size = 1; size < mib; size *= 2) {
        plugin_release(plugin_make(size));
        if (subject_is_hakmem()) {
            void* block = plugin_make(size);
            CHECK(block != nullptr);
            CHECK_LE(size, subject_usable_size(block));
            block = subject_realloc(block, 2 * size + 100);
            CHECK(block != nullptr);
            check_byte(block, size - 1);
            subject_free(block);
            subject_free(plugin_make(size));
        }
    }
    subject_validate();
    return 0;
}
