// The replaceable allocation functions of C++ ([new.delete] in ISO C++20), all twenty of them.
//
// A C program must not come to need the C++ library by using HAKMEM. So what the standard asks of
// operator new, the loop over the new_handler and std::bad_alloc, is reached through weak
// references: they are null where there is no C++ library, and there nobody calls operator new.
// This file alone is compiled with exceptions, because a nothrow form must catch what a handler
// throws.

#include <cstdlib>
#include <new>

#include "abi/composition.hpp"
#include "base/attributes.hpp"
#include "middle/misuse.hpp"

using hakmem::abi::Composition;
using hakmem::phases::SizeClaim;

namespace std {
[[gnu::weak]] new_handler get_new_handler() noexcept;
[[gnu::noreturn, gnu::weak]] void __throw_bad_alloc();
}  // namespace std

// What the compiler calls to catch an exception is weak for the same reason.
asm(".weak __gxx_personality_v0\n"
    ".weak __cxa_begin_catch\n"
    ".weak __cxa_end_catch\n"
    ".weak _ZSt9terminatev\n");

namespace {

constexpr std::size_t no_alignment = hakmem::base::block_alignment;

void* attempt(std::size_t bytes, std::size_t alignment) {
    return alignment == no_alignment ? Composition::allocate(bytes)
                                     : Composition::allocate_aligned(alignment, bytes);
}

// [new]
// Asks the new_handler for memory as long as there is one, as [new.delete.single]/4 describes it.
// The handler may throw; nothing here needs unwinding.
HAK_SLOW void* new_slow(std::size_t bytes, std::size_t alignment) {
    for (;;) {
        const std::new_handler handler =
            std::get_new_handler != nullptr ? std::get_new_handler() : nullptr;
        if (handler == nullptr) {
            if (std::__throw_bad_alloc == nullptr) std::abort();
            std::__throw_bad_alloc();
        }
        handler();
        if (void* const block = attempt(bytes, alignment)) return block;
    }
}
// [/new]

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

// The nothrow forms run the handlers too, and return null where the others throw
// ([new.delete.single]/8).
HAK_SLOW void* new_nothrow_slow(std::size_t bytes, std::size_t alignment) noexcept {
    try {
        return new_slow(bytes, alignment);
    } catch (...) {
        return nullptr;
    }
}

HAK_FAST void* new_nothrow(std::size_t bytes, std::size_t alignment) noexcept {
    if (void* const block = attempt(bytes, alignment); HAK_LIKELY(block)) return block;
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
