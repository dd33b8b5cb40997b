// The replaceable allocation functions of C++ ([new.delete] in ISO C++20) that throw nothing; those
// that do are in operator_new.cpp.

#include <new>

#include "abi/composition.hpp"
#include "abi/new_handler.hpp"
#include "base/attributes.hpp"

using hakmem::abi::Composition;
using hakmem::abi::new_attempt;
using hakmem::abi::new_nothrow_slow;
using hakmem::abi::no_alignment;
using hakmem::phases::SizeClaim;

namespace {

HAK_FAST void* new_nothrow(std::size_t bytes, std::size_t alignment) noexcept {
    if (void* const block = new_attempt(bytes, alignment); HAK_LIKELY(block)) return block;
    return new_nothrow_slow(bytes, alignment);
}

}  // namespace

HAK_EXPORT void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
    return new_nothrow(bytes, no_alignment);
}
HAK_EXPORT void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
    return new_nothrow(bytes, no_alignment);
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
