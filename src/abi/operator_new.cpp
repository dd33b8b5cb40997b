// The replaceable allocation functions of C++ ([new.delete] in ISO C++20) that throw.
//
// gcc compiles them with exceptions, though they neither throw nor catch. It may conclude from a
// function that was compiled without that nothing ever comes out of it, and a program that is
// linked with -flto would lose its handlers.

#include <new>

#include "abi/composition.hpp"
#include "abi/new_handler.hpp"
#include "base/attributes.hpp"

using hakmem::abi::Composition;
using hakmem::abi::new_slow;
using hakmem::abi::no_alignment;

namespace {

// [new]
// What did not hit is tried again, which costs a test more and spares the hit saving a register.
[[gnu::noinline]] void* new_missed(std::size_t bytes) {
    if (void* const block = Composition::allocate_missed(bytes); HAK_LIKELY(block)) return block;
    return new_slow(bytes, no_alignment);
}

HAK_FAST void* new_block(std::size_t bytes) {
    if (void* const block = Composition::allocate_hit(bytes); HAK_LIKELY(block)) return block;
    return new_missed(bytes);
}
// [/new]

void* new_aligned(std::size_t bytes, std::align_val_t alignment) {
    const auto value = static_cast<std::size_t>(alignment);
    if (void* const block = Composition::allocate_aligned(value, bytes)) return block;
    return new_slow(bytes, value);
}

}  // namespace

HAK_EXPORT void* operator new(std::size_t bytes) { return new_block(bytes); }
HAK_EXPORT void* operator new[](std::size_t bytes) { return new_block(bytes); }

HAK_EXPORT void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return new_aligned(bytes, alignment);
}
HAK_EXPORT void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return new_aligned(bytes, alignment);
}
