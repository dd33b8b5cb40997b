// The replaceable allocation functions of C++ ([new.delete] in ISO C++20), all twenty of them.

#include <new>

#include "abi/composition.hpp"
#include "abi/new_handler.hpp"
#include "base/attributes.hpp"

using hakmem::abi::Composition;
using hakmem::abi::new_attempt;
using hakmem::abi::new_nothrow_slow;
using hakmem::abi::new_slow;
using hakmem::phases::SizeClaim;

namespace {

constexpr std::size_t no_alignment = hakmem::base::block_alignment;

// What did not hit is tried again, which costs a test more and spares the hit saving a register.
[[gnu::noinline]] void* new_missed(std::size_t bytes) {
    if (void* const block = Composition::allocate_missed(bytes); HAK_LIKELY(block)) return block;
    return new_slow(bytes, no_alignment);
}

HAK_FAST void* new_block(std::size_t bytes) {
    if (void* const block = Composition::allocate_hit(bytes); HAK_LIKELY(block)) return block;
    return new_missed(bytes);
}

void* new_aligned(std::size_t bytes, std::align_val_t alignment) {
    const auto value = static_cast<std::size_t>(alignment);
    if (void* const block = Composition::allocate_aligned(value, bytes)) return block;
    return new_slow(bytes, value);
}

HAK_FAST void* new_nothrow(std::size_t bytes, std::size_t alignment) noexcept {
    if (void* const block = new_attempt(bytes, alignment); HAK_LIKELY(block)) return block;
    return new_nothrow_slow(bytes, alignment);
}

}  // namespace

HAK_EXPORT void* operator new(std::size_t bytes) { return new_block(bytes); }
HAK_EXPORT void* operator new[](std::size_t bytes) { return new_block(bytes); }

HAK_EXPORT void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return new_nothrow(bytes, no_alignment);
}
HAK_EXPORT void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return new_nothrow(bytes, no_alignment);
}

HAK_EXPORT void* operator new(std::size_t bytes, std::align_val_t alignment) {
    return new_aligned(bytes, alignment);
}
HAK_EXPORT void* operator new[](std::size_t bytes, std::align_val_t alignment) {
    return new_aligned(bytes, alignment);
}

HAK_EXPORT void* operator new(std::size_t bytes, std::align_val_t alignment,
                              const std::nothrow_t&) noexcept {
    return new_nothrow(bytes, static_cast<std::size_t>(alignment));
}
HAK_EXPORT void* operator new[](std::size_t bytes, std::align_val_t alignment,
                                const std::nothrow_t&) noexcept {
    return new_nothrow(bytes, static_cast<std::size_t>(alignment));
}

HAK_EXPORT void operator delete(void* block) noexcept { Composition::deallocate(block); }
HAK_EXPORT void operator delete[](void* block) noexcept { Composition::deallocate(block); }

HAK_EXPORT void operator delete(void* block, const std::nothrow_t&) noexcept {
    Composition::deallocate(block);
}
HAK_EXPORT void operator delete[](void* block, const std::nothrow_t&) noexcept {
    Composition::deallocate(block);
}

HAK_EXPORT void operator delete(void* block, std::size_t bytes) noexcept {
    Composition::deallocate_sized(block, bytes, SizeClaim::exact);
}
HAK_EXPORT void operator delete[](void* block, std::size_t bytes) noexcept {
    Composition::deallocate_sized(block, bytes, SizeClaim::exact);
}

HAK_EXPORT void operator delete(void* block, std::align_val_t) noexcept {
    Composition::deallocate(block);
}
HAK_EXPORT void operator delete[](void* block, std::align_val_t) noexcept {
    Composition::deallocate(block);
}

HAK_EXPORT void operator delete(void* block, std::align_val_t, const std::nothrow_t&) noexcept {
    Composition::deallocate(block);
}
HAK_EXPORT void operator delete[](void* block, std::align_val_t, const std::nothrow_t&) noexcept {
    Composition::deallocate(block);
}

// An aligned block may come from a larger class than its size alone would.
HAK_EXPORT void operator delete(void* block, std::size_t bytes, std::align_val_t) noexcept {
    Composition::deallocate_sized(block, bytes, SizeClaim::at_most);
}
HAK_EXPORT void operator delete[](void* block, std::size_t bytes, std::align_val_t) noexcept {
    Composition::deallocate_sized(block, bytes, SizeClaim::at_most);
}
