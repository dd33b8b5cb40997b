/**
 * @file heap_walk.cpp
 * @brief A walk over the heap while another thread allocates, where address space is tight.
 *
 * Blocks that stay must be met in each walk, with all of their bytes inside what is said of them.
 * The other thread makes and frees large blocks, of which memory is unmapped as soon as it is free:
 * a walk that looked at the memory of a block then would crash.
 */
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdlib>

#include <sys/resource.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t churned_bytes = 1500 * kib;
constexpr std::size_t churned_blocks = 60;
constexpr std::size_t room_bytes = 200 * mib;
constexpr int walks = 2000;

std::atomic<bool> stop{false};

void* churn(void*) {
    static std::array<void*, churned_blocks> blocks;
    while (!stop.load(std::memory_order_relaxed)) {
        for (void*& block : blocks) block = subject_malloc(churned_bytes);
        for (void* const block : blocks) subject_free(block);
    }
    return nullptr;
}

struct Kept {
    std::array<char*, 4> blocks;
    std::array<std::size_t, 4> bytes;
    std::array<int, 4> met;
};

int meet(const hakmem_block* block, void* context) {
    Kept& kept = *static_cast<Kept*>(context);
    const char* const start = static_cast<const char*>(block->start);
    for (std::size_t i = 0; i < kept.blocks.size(); ++i) {
        if (start != kept.blocks[i]) continue;
        CHECK(block->bytes >= kept.bytes[i]);
        ++kept.met[i];
    }
    return 0;
}

}  // namespace

int main() {
    const auto walk = subject_optional(hakmem_heap_walk, "hakmem_heap_walk");
    if (walk == nullptr) return 77;
    const rlimit limit = {room_bytes, room_bytes};
    CHECK_EQ(setrlimit(RLIMIT_AS, &limit), 0);
    Kept kept{{}, {24, 5000, 100 * kib, 3 * mib}, {}};
    for (std::size_t i = 0; i < kept.blocks.size(); ++i) {
        kept.blocks[i] = static_cast<char*>(subject_malloc(kept.bytes[i]));
        CHECK(kept.blocks[i] != nullptr);
    }
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, nullptr, churn, nullptr), 0);
    int complete = 0;
    for (int i = 0; i < walks; ++i) {
        const int result = walk(meet, &kept);
        CHECK(result == 0 || result == ENOMEM);  // the walk may find no room for its own tables
        complete += result == 0 ? 1 : 0;
        for (const int met : kept.met) CHECK_EQ(met, complete);
    }
    CHECK(complete > 0);
    stop.store(true);
    CHECK_EQ(pthread_join(thread, nullptr), 0);
    for (char* const block : kept.blocks) subject_free(block);
    subject_validate();
    return 0;
}
