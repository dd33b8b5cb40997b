/**
 * @file check.hpp
 * @brief What a scenario says and how it fails.
 *
 * A scenario may be between two instructions of the allocator, in a forked child, or out of
 * memory when a check fails. So nothing here allocates, buffers or locks: a line is put together
 * on the stack and written to the descriptor at once, and a failure leaves by _exit.
 */
#ifndef HAKMEM_TESTS_ABI_CHECK_HPP
#define HAKMEM_TESTS_ABI_CHECK_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

#include <unistd.h>

namespace check {

/** One line of text on the stack; what does not fit is cut off. */
class Line {
public:
    Line& add(const char* text) {
        while (text != nullptr && *text != '\0' && length_ < sizeof text_ - 2) {
            text_[length_++] = *text++;
        }
        return *this;
    }

    template <class Value>
    Line& value(const Value& value) {
        if constexpr (std::is_same_v<Value, bool>) {
            return add(value ? "true" : "false");
        } else if constexpr (std::is_enum_v<Value>) {
            return this->value(static_cast<std::underlying_type_t<Value>>(value));
        } else if constexpr (std::is_null_pointer_v<Value>) {
            return add("null");
        } else if constexpr (std::is_pointer_v<Value>) {
            return number(reinterpret_cast<std::uintptr_t>(value), 16);
        } else if constexpr (std::is_floating_point_v<Value>) {
            return this->value(static_cast<long long>(value));
        } else if constexpr (std::is_signed_v<Value>) {
            if (value < 0) {
                add("-");
                return number(0 - static_cast<std::uint64_t>(value), 10);
            }
            return number(static_cast<std::uint64_t>(value), 10);
        } else {
            return number(static_cast<std::uint64_t>(value), 10);
        }
    }

    /** Ends the line and writes it. A closed descriptor is the reader's choice, not an error. */
    void put(int descriptor) {
        text_[length_++] = '\n';
        std::size_t done = 0;
        while (done < length_) {
            const ssize_t count = ::write(descriptor, text_ + done, length_ - done);
            if (count <= 0) {
                break;
            }
            done += static_cast<std::size_t>(count);
        }
        length_ = 0;
    }

    /** The text so far, ended by a zero. */
    const char* text() {
        text_[length_] = '\0';
        return text_;
    }

private:
    Line& number(std::uint64_t value, unsigned base) {
        char digits[24];
        std::size_t at = sizeof digits;
        digits[--at] = '\0';
        do {
            digits[--at] = "0123456789abcdef"[value % base];
            value /= base;
        } while (value != 0);
        return add(base == 16 ? "0x" : "").add(digits + at);
    }

    char text_[600];
    std::size_t length_ = 0;
};

/** Says where and what, and ends the process without running anything of the program's. */
[[noreturn]] inline void fail(const char* file, int line, const char* expression,
                              const char* values = "") {
    const int error = errno;
    Line text;
    text.add(file).add(":").value(line).add(": failed: ").add(expression).add(values);
    text.add(" (errno ").value(error).add(")").put(2);
    ::_exit(1);
}

template <class Left, class Right>
constexpr bool both_integers = std::is_integral_v<Left>&& std::is_integral_v<Right> &&
                               !std::is_same_v<Left, bool> && !std::is_same_v<Right, bool>;

struct Equal {
    template <class Left, class Right>
    static bool holds(const Left& left, const Right& right) {
        if constexpr (both_integers<Left, Right>) {
            return std::cmp_equal(left, right);
        } else {
            return left == right;
        }
    }
};

struct NotEqual {
    template <class Left, class Right>
    static bool holds(const Left& left, const Right& right) {
        return !Equal::holds(left, right);
    }
};

struct AtMost {
    template <class Left, class Right>
    static bool holds(const Left& left, const Right& right) {
        return std::cmp_less_equal(left, right);
    }
};

template <class Relation, class Left, class Right>
void compare(const char* file, int line, const char* expression, const Left& left,
             const Right& right) {
    if (!Relation::holds(left, right)) {
        Line values;
        values.add(": ").value(left).add(" and ").value(right);
        fail(file, line, expression, values.text());
    }
}

}  // namespace check

#define CHECK(condition) \
    ((condition) ? static_cast<void>(0) : check::fail(__FILE__, __LINE__, #condition))
#define CHECK_EQ(left, right) \
    check::compare<check::Equal>(__FILE__, __LINE__, #left " == " #right, left, right)
#define CHECK_NE(left, right) \
    check::compare<check::NotEqual>(__FILE__, __LINE__, #left " != " #right, left, right)
#define CHECK_LE(left, right) \
    check::compare<check::AtMost>(__FILE__, __LINE__, #left " <= " #right, left, right)

#endif
