#include "os/raw_log.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>

namespace hakmem::os {

namespace {

// Set together by the program, as a rule once and early. A message that races with the change may
// pair a sink with the other's context, which is why the context is stored first.
constinit std::atomic<void*> message_context{nullptr};
constinit std::atomic<Sink> message_sink{nullptr};

constexpr unsigned digits_max = 20;  // of 2^64

// Writes the digits of a number to the end of a buffer and returns where they begin.
char* to_digits(std::uint64_t number, unsigned base, char* end) {
    do {
        *--end = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    return end;
}

}  // namespace

// [append]
Text& Text::append(const char* text, std::size_t length) {
    while (length > 0) {
        if (used_ == buffer_bytes) flush();
        const std::size_t part = length < buffer_bytes - used_ ? length : buffer_bytes - used_;
        std::memcpy(buffer_ + used_, text, part);
        used_ += part;
        text += part;
        length -= part;
    }
    return *this;
}
// [/append]

Text& Text::operator<<(const char* text) { return append(text, std::strlen(text)); }

Text& Text::operator<<(char character) { return append(&character, 1); }

Text& Text::operator<<(std::uint64_t number) { return column(number, 0); }

Text& Text::operator<<(const void* address) {
    char digits[digits_max];
    char* const end = digits + digits_max;
    char* const start = to_digits(reinterpret_cast<std::uintptr_t>(address), 16, end);
    return append("0x", 2).append(start, static_cast<std::size_t>(end - start));
}

Text& Text::column(std::uint64_t number, unsigned width) {
    char digits[digits_max];
    char* const end = digits + digits_max;
    char* const start = to_digits(number, 10, end);
    const auto length = static_cast<unsigned>(end - start);
    for (unsigned i = length; i < width; i++) append(" ", 1);
    return append(start, length);
}

Text& Text::column(const char* text, unsigned width) {
    const std::size_t length = std::strlen(text);
    append(text, length);
    for (std::size_t i = length; i < width; i++) append(" ", 1);
    return *this;
}

void Text::flush() {
    if (used_ > 0) sink_(buffer_, used_, context_);
    used_ = 0;
}

namespace {

Sink current_sink() {
    const Sink sink = message_sink.load(std::memory_order_acquire);
    return sink != nullptr ? sink : write_to_descriptor;
}

void* current_context() {
    return message_sink.load(std::memory_order_acquire) != nullptr
               ? message_context.load(std::memory_order_relaxed)
               : descriptor_context(STDERR_FILENO);
}

}  // namespace

Message::Message() : Text(current_sink(), current_context()) { *this << "hakmem: "; }

// [write]
void write_to_descriptor(const char* text, std::size_t length, void* descriptor) {
    const int saved_errno = errno;
    while (length > 0) {
        const ssize_t written =
            write(static_cast<int>(reinterpret_cast<std::intptr_t>(descriptor)), text, length);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) break;
        text += written;
        length -= static_cast<std::size_t>(written);
    }
    errno = saved_errno;
}
// [/write]

int duplicate_descriptor(int descriptor) {
    constexpr int out_of_the_way = 64;  // above what shells and programs number by hand
    const int duplicate = fcntl(descriptor, F_DUPFD_CLOEXEC, out_of_the_way);
    return duplicate >= 0 ? duplicate : descriptor;
}

void set_message_sink(Sink sink, void* context) {
    message_context.store(context, std::memory_order_relaxed);
    message_sink.store(sink, std::memory_order_release);
}

}  // namespace hakmem::os
