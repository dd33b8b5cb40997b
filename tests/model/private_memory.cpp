#include "private_memory.hpp"

#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>

namespace hakmem::model {

namespace {

class MappedMemory final : public std::pmr::memory_resource {
    void* do_allocate(std::size_t bytes, std::size_t) override {
        void* memory =
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) {
            std::perror("model: no memory for the reference");
            std::_Exit(2);
        }
        return memory;
    }

    void do_deallocate(void* memory, std::size_t bytes, std::size_t) override {
        munmap(memory, bytes);
    }

    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
        return this == &other;
    }
};

}  // namespace

std::pmr::memory_resource* private_memory() {
    static MappedMemory memory;
    return &memory;
}

}  // namespace hakmem::model
