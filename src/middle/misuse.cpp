#include "middle/misuse.hpp"

#include <cstdlib>

#include "os/futex_lock.hpp"
#include "os/raw_log.hpp"

using hakmem::os::Message;

namespace {

void describe_class(Message& message, unsigned class_index) {
    if (class_index == 0) return;
    const std::size_t bytes = hakmem::base::size_classes[class_index].block_bytes;
    message << " (size class " << class_index << ", " << std::uint64_t{bytes} << " bytes)";
}

// A crash reporter may allocate, and this thread may hold the very lock that it would wait for.
[[noreturn]] void end_process() {
    hakmem::os::bypass_locks();
    std::abort();
}

}  // namespace

// [name]
void hak_abort_double_free(const void* block, unsigned class_index) {
    {
        Message message;
        message << "double free of " << block;
        describe_class(message, class_index);
        message << "; see docs: misuse#double-free";
    }
    end_process();
}
// [/name]

void hak_abort_invalid_free(const void* pointer, unsigned class_index) {
    {
        Message message;
        message << "invalid free of " << pointer << ", which is not the start of a live block";
        describe_class(message, class_index);
        message << "; see docs: misuse#invalid-free";
    }
    end_process();
}

void hak_abort_foreign_free(const void* pointer) {
    {
        Message message;
        message << "foreign pointer " << pointer << " freed; see docs: misuse#foreign-free";
    }
    end_process();
}

void hak_abort_sized_mismatch(const void* block, std::size_t bytes, std::size_t usable) {
    {
        Message message;
        message << "sized delete mismatch: " << block << " was freed as " << std::uint64_t{bytes}
                << " bytes, and its block has " << std::uint64_t{usable}
                << "; see docs: misuse#sized-delete-mismatch";
    }
    end_process();
}
