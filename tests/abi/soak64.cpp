/**
 * @file soak64.cpp
 * @brief 64 threads allocate, pass on and free for a while; then memory is back where it was.
 *
 * Each thread makes blocks and posts them to other threads, and frees what is posted to it, after
 * checking every byte. At the end all threads are joined, malloc_trim(0) is called, and the
 * resident set must be within 10 % and 1 MiB of what it was before the first thread began.
 * The program's own memory is flat: fixed tables and all code, touched before the start, and stacks
 * of its own which it unmaps. So what is left is the allocator's. The argument is the number of
 * seconds.
 */
#include <array>
#include <atomic>
#include <cstdlib>

#include <link.h>
#include <sys/mman.h>
#include <time.h>

#include "check.hpp"
#include "subject.hpp"
#include "support.hpp"

namespace {

constexpr std::size_t threads = 64;
constexpr std::size_t box_blocks = 256;
constexpr std::size_t own_blocks = 96;
constexpr std::size_t stack_bytes = 256 * kib;

/** Where other threads put blocks for one thread. */
struct Mailbox {
    pthread_mutex_t lock;
    std::size_t used;
    std::array<Block, box_blocks> blocks;
};

std::array<Mailbox, threads> boxes;
std::array<std::array<Block, own_blocks>, threads> own;
std::array<std::uint64_t, threads> operations;
std::atomic<bool> stop{false};

/** Most blocks are small; a few have units, and very few a mapping of their own. */
std::size_t some_size(Random& random) {
    const std::size_t kind = random.below(1000);
    return random.size(kind == 0 ? 3 * mib : kind < 10 ? 128 * kib : kind < 100 ? 16 * kib : kib);
}

/** Posts a block, or frees it when the box is full. */
void post(Block& block, std::size_t to) {
    Mailbox& box = boxes[to];
    CHECK_EQ(pthread_mutex_lock(&box.lock), 0);
    const bool has_room = box.used < box_blocks;
    if (has_room) {
        box.blocks[box.used++] = block;
    }
    CHECK_EQ(pthread_mutex_unlock(&box.lock), 0);
    if (has_room) {
        block = {};
    } else {
        block.release();
    }
}

void empty_box(std::size_t self) {
    std::array<Block, 64> taken;
    Mailbox& box = boxes[self];
    CHECK_EQ(pthread_mutex_lock(&box.lock), 0);
    const std::size_t count = std::min(box.used, taken.size());
    for (std::size_t i = 0; i < count; ++i) {
        taken[i] = box.blocks[--box.used];
    }
    CHECK_EQ(pthread_mutex_unlock(&box.lock), 0);
    for (std::size_t i = 0; i < count; ++i) {
        taken[i].release();
    }
    operations[self] += count;
}

void* body(void* argument) {
    const auto self = reinterpret_cast<std::uintptr_t>(argument);
    Random random(self);
    while (!stop.load(std::memory_order_relaxed)) {
        for (int i = 0; i < 64; ++i) {
            Block& block = own[self][random.below(own_blocks)];
            if (block.start == nullptr) {
                block.make(some_size(random), random.next());
                continue;
            }
            switch (random.below(8)) {
                case 0:
                    block.release();
                    break;
                case 1: {
                    const std::size_t size = some_size(random);
                    void* const moved = subject_realloc(block.start, size);
                    CHECK(moved != nullptr);
                    CHECK(pattern_holds(moved, std::min(size, block.bytes) / 8 * 8, block.seed));
                    block.adopt(moved, size, random.next());
                    break;
                }
                case 2:
                case 3:
                case 4:
                    // Half to the neighbour, whose box is then full of one thread's blocks, half
                    // to anybody.
                    post(block,
                         random.below(2) == 0 ? (self + 1) % threads : random.below(threads));
                    break;
                default:
                    block.verify();
            }
        }
        operations[self] += 64;
        empty_box(self);
    }
    for (Block& block : own[self]) {
        block.release();
    }
    return nullptr;
}

long now_milliseconds() {
    timespec now;
    CHECK_EQ(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/** The second figure of statm: pages, within some hundreds. */
std::size_t roughly_resident_bytes() {
    char text[512];
    CHECK(read_file("/proc/self/statm", text, sizeof text) > 0);
    return number_after(text, " ") * 4 * kib;
}

/** Reads each page of a loaded object that is not written to. */
int touch_code(dl_phdr_info* object, std::size_t, void*) {
    for (unsigned i = 0; i < object->dlpi_phnum; ++i) {
        const ElfW(Phdr)& segment = object->dlpi_phdr[i];
        if (segment.p_type != PT_LOAD || (segment.p_flags & (PF_R | PF_W)) != PF_R) continue;
        const auto* const start =
            reinterpret_cast<const volatile char*>(object->dlpi_addr + segment.p_vaddr);
        for (std::size_t at = 0; at < segment.p_memsz; at += 4 * kib) static_cast<void>(start[at]);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    subject_require();
    const long seconds = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 5;
    CHECK(seconds > 0);
    deadline(static_cast<unsigned>(seconds) + 60);
    std::memset(static_cast<void*>(&boxes), 0, sizeof boxes);
    std::memset(static_cast<void*>(&own), 0, sizeof own);
    std::memset(static_cast<void*>(&operations), 0, sizeof operations);
    for (Mailbox& box : boxes) {
        CHECK_EQ(pthread_mutex_init(&box.lock, nullptr), 0);
    }

    // Which pages of code are resident at the start is chance, and none of them is growth.
    const std::size_t allowed = subject_resident_bytes() / 10 + mib;
    if (subject_is_interposed) dl_iterate_phdr(touch_code, nullptr);
    const std::size_t before = subject_resident_bytes();
    void* const stacks = mmap(nullptr, threads * stack_bytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(stacks != MAP_FAILED);
    std::array<pthread_t, threads> running;
    for (std::size_t i = 0; i < threads; ++i) {
        pthread_attr_t attributes;
        CHECK_EQ(pthread_attr_init(&attributes), 0);
        CHECK_EQ(pthread_attr_setstack(&attributes, static_cast<char*>(stacks) + i * stack_bytes,
                                       stack_bytes),
                 0);
        running[i] = thread_start(body, reinterpret_cast<void*>(i), &attributes);
        CHECK_EQ(pthread_attr_destroy(&attributes), 0);
    }
    // Sampled rarely and from the cheap counter: the exact one walks all pages under the very lock
    // that the threads' page faults want.
    std::size_t peak = 0;
    const long end = now_milliseconds() + seconds * 1000;
    while (now_milliseconds() < end) {
        const timespec half = {0, 500000000};
        nanosleep(&half, nullptr);
        peak = std::max(peak, roughly_resident_bytes());
    }
    stop.store(true);
    for (const pthread_t thread : running) {
        thread_join(thread);
    }
    CHECK_EQ(munmap(stacks, threads * stack_bytes), 0);
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < threads; ++i) {
        while (boxes[i].used > 0) {
            boxes[i].blocks[--boxes[i].used].release();
        }
        all += operations[i];
    }
    subject_trim();
    const std::size_t after = subject_resident_bytes();
    check::Line()
        .value(threads)
        .add(" threads, ")
        .value(seconds)
        .add(" s, ")
        .value(all)
        .add(" operations, peak ")
        .value(peak / kib)
        .add(" KiB")
        .put(1);
    check_growth("resident", before, after, allowed);
    subject_validate();
    return 0;
}
