/**
 * @file raw_log.hpp
 * @box raw_log — text to a file descriptor, with nothing in between
 *
 * An allocator cannot print through stdio: stdio allocates. It cannot throw its text together with
 * std::string either. What is left is a small buffer on the stack and write(2).
 *
 * `Text` is that buffer with the few conversions that reports need. It flushes when it is full and
 * when it goes out of scope. A message to the user is a `Text` with the prefix `hakmem: `, whose
 * sink can be replaced by the program (hakmem_set_message_writer).
 *
 * @owns      the message sink
 * @calls     —
 * @threads   any; a message goes out by one write each, so that messages of threads do not mix
 *            unless longer than the buffer; replacing the sink is atomic per field
 * @invariant none
 * @failure   what cannot be written is dropped: there is nobody to tell
 * @cost      a system call a message
 * @phase     introduced in 16
 */
#pragma once

#include <cstddef>
#include <cstdint>

namespace hakmem::os {

/** Takes text that is not ended by a zero. */
using Sink = void (*)(const char* text, std::size_t length, void* context);

/** A buffer of text on the stack. */
class Text {
public:
    /**
     * @param sink Receives the text.
     * @param context Passed through to the sink.
     */
    Text(Sink sink, void* context) : sink_(sink), context_(context) {}
    Text(const Text&) = delete;
    Text& operator=(const Text&) = delete;
    ~Text() { flush(); }

    /**
     * Appends a string.
     * @param text Ended by a zero.
     * @return This text.
     */
    Text& operator<<(const char* text);
    /**
     * Appends a character.
     * @param character Any character.
     * @return This text.
     */
    Text& operator<<(char character);
    /**
     * Appends a decimal number.
     * @param number Any number.
     * @return This text.
     */
    Text& operator<<(std::uint64_t number);
    /**
     * Appends a decimal number.
     * @param number Any number.
     * @return This text.
     */
    Text& operator<<(unsigned number) { return *this << std::uint64_t{number}; }
    /**
     * Appends an address as 0x and hexadecimal digits.
     * @param address Any address.
     * @return This text.
     */
    Text& operator<<(const void* address);
    /**
     * Appends a string of known length.
     * @param text First character.
     * @param length Number of characters.
     * @return This text.
     */
    Text& append(const char* text, std::size_t length);
    /**
     * Appends a number, set to the right of a column.
     * @param number Any number.
     * @param width Least number of characters.
     * @return This text.
     */
    Text& column(std::uint64_t number, unsigned width);
    /**
     * Appends a string, set to the left of a column.
     * @param text Ended by a zero.
     * @param width Least number of characters.
     * @return This text.
     */
    Text& column(const char* text, unsigned width);
    /** Hands what is in the buffer to the sink. */
    void flush();

private:
    static constexpr std::size_t buffer_bytes = 512;
    Sink sink_;
    void* context_;
    std::size_t used_ = 0;
    char buffer_[buffer_bytes];
};

/** A message to the user: prefixed, and ended by a line break when it goes out of scope. */
class Message : public Text {
public:
    Message();
    ~Message() { *this << '\n'; }
};

/**
 * The sink that writes to a file descriptor.
 * @param text First character.
 * @param length Number of characters.
 * @param descriptor The file descriptor, as a pointer's value.
 */
void write_to_descriptor(const char* text, std::size_t length, void* descriptor);

/**
 * @param descriptor A file descriptor.
 * @return It, as write_to_descriptor takes it.
 */
inline void* descriptor_context(int descriptor) {
    return reinterpret_cast<void*>(static_cast<std::intptr_t>(descriptor));
}

/**
 * Duplicates a file descriptor, so that what is written at exit arrives even if the program has
 * closed its own.
 * @param descriptor A file descriptor.
 * @return The duplicate, closed on exec; or the descriptor itself if there can be none.
 */
int duplicate_descriptor(int descriptor);

/**
 * Replaces the sink of messages.
 * @param sink The sink, or null for file descriptor 2.
 * @param context Passed through to the sink.
 */
void set_message_sink(Sink sink, void* context);

}  // namespace hakmem::os
