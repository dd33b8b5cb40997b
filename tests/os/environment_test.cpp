#include "os/environment.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/os/captured_messages.hpp"
#include "tests/os/child.hpp"

namespace {

using namespace hakmem;
using os::OptionRow;
using os::Options;
using os::OptionType;
using tests::in_child;

struct Parsed {
    Options values;
    unsigned complaints;
    std::string messages;
};

Parsed parse(const std::vector<std::string>& entries) {
    std::vector<const char*> environment;
    for (const std::string& entry : entries) environment.push_back(entry.c_str());
    environment.push_back(nullptr);
    tests::CapturedMessages messages;
    Parsed result{};
    result.complaints = os::parse_options(environment.data(), result.values);
    result.messages = messages.text();
    return result;
}

const OptionRow& row(const char* name) {
    const OptionRow* const found = os::find_option(name);
    EXPECT_NE(found, nullptr) << name;
    return *found;
}

// What `HAKMEM_<name>=<value>` sets, or nothing if it is refused, with that complaint.
std::optional<std::uint64_t> value_of(const char* name, const std::string& value,
                                      const char* complaint = " is not understood (") {
    const Parsed parsed = parse({std::string("HAKMEM_") + name + "=" + value});
    const OptionRow& option = row(name);
    if (parsed.complaints == 0) {
        EXPECT_EQ(parsed.messages, "");
        return parsed.values.*option.field;
    }
    EXPECT_EQ(parsed.complaints, 1u);
    EXPECT_EQ(parsed.values.*option.field, option.default_value) << name << "=" << value;
    EXPECT_NE(parsed.messages.find(complaint), std::string::npos) << parsed.messages;
    return std::nullopt;
}

constexpr char out_of_range[] = " is out of range (";

// ---- the table ----------------------------------------------------------------------------------

TEST(Environment, EveryRowIsSound) {
    std::set<std::string> names;
    for (std::size_t i = 0; i < os::option_rows; i++) {
        const OptionRow& option = os::option_row(i);
        EXPECT_TRUE(names.insert(option.name).second) << option.name;
        EXPECT_LE(std::strlen(option.name), 32u) << option.name;
        EXPECT_LE(option.minimum, option.default_value) << option.name;
        EXPECT_LE(option.default_value, option.maximum) << option.name;
        EXPECT_LT(option.maximum, UINT64_MAX) << option.name;  // what overflows is read as that
        EXPECT_NE(std::strlen(option.sentence), 0u) << option.name;
        for (const char* c = option.name; *c != '\0'; c++) {
            EXPECT_TRUE((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_')
                << option.name;
        }
        if (option.type == OptionType::CHOICE) {
            const auto bars = std::count(option.unit, option.unit + std::strlen(option.unit), '|');
            EXPECT_EQ(static_cast<std::uint64_t>(bars), option.maximum) << option.name;
        }
    }
}

TEST(Environment, EachPhaseHasABeginningOfTheTableAndLaterRecordedOnesHaveMore) {
    std::size_t before = 0;
    for (const char* const phase : {"16", "13-B", "14", "15"}) {
        std::size_t count = 0;
        for (std::size_t i = 0; i < os::option_rows; i++) {
            if (os::is_of_phase(os::option_row(i), phase)) count++;
        }
        for (std::size_t i = 0; i < os::option_rows; i++) {
            EXPECT_EQ(os::is_of_phase(os::option_row(i), phase), i < count)
                << phase << ' ' << os::option_row(i).name;
        }
        EXPECT_GT(count, before) << phase;
        before = count;
    }
    EXPECT_EQ(before, os::option_rows);
    EXPECT_EQ(std::string(os::phase_name), "16");
}

TEST(Environment, AnOptionOfAnotherPhaseIsAnsweredWithTheLibrariesThatHaveIt) {
    const Parsed parsed = parse({"HAKMEM_TINY_ULTRA_HOT=0"});
    EXPECT_EQ(parsed.complaints, 1u);
    EXPECT_EQ(parsed.messages,
              "hakmem: HAKMEM_TINY_ULTRA_HOT means nothing to phase 16: it belongs to 14 14-C 15, "
              "whose libraries are hakmem/libhakmem_phase_*.so\n");
    EXPECT_EQ(parsed.values.tiny_ultra_hot, os::Options{}.tiny_ultra_hot);
    EXPECT_EQ(os::find_option("tiny_ultra_hot"), nullptr);
}

TEST(Environment, NothingGivenMeansTheDefaults) {
    const Parsed parsed = parse({});
    for (std::size_t i = 0; i < os::option_count(); i++) {
        const OptionRow& option = os::option_row(i);
        EXPECT_EQ(parsed.values.*option.field, option.default_value) << option.name;
    }
    EXPECT_EQ(parsed.complaints, 0u);
}

TEST(Environment, OptionsAreFoundWithAndWithoutThePrefixInAnyCase) {
    for (const char* name : {"decay", "DECAY", "HAKMEM_DECAY", "hakmem_decay", "Hakmem_Decay"}) {
        const OptionRow* const found = os::find_option(name);
        ASSERT_NE(found, nullptr) << name;
        EXPECT_STREQ(found->name, "decay");
    }
    for (const char* name : {"", "HAKMEM_", "decays", "deca", "HAKMEM_HAKMEM_DECAY", "MEM_DECAY"}) {
        EXPECT_EQ(os::find_option(name), nullptr) << name;
    }
}

// ---- types --------------------------------------------------------------------------------------

TEST(Environment, TruthValues) {
    for (const char* word : {"1", "true", "on", "yes", "TRUE", "On", "yEs"}) {
        EXPECT_EQ(value_of("hardened", word), 1u) << word;
    }
    for (const char* word : {"0", "false", "off", "no", "FALSE", "oFF"}) {
        EXPECT_EQ(value_of("hardened", word), 0u) << word;
    }
    for (const char* word : {"", "2", "01", "tru", "truely", " 1", "1 ", "-1", "y", "t"}) {
        EXPECT_EQ(value_of("hardened", word), std::nullopt) << word;
    }
}

TEST(Environment, Counts) {
    EXPECT_EQ(value_of("magazine_blocks", "0"), 0u);
    EXPECT_EQ(value_of("magazine_blocks", "1"), 1u);
    EXPECT_EQ(value_of("magazine_blocks", "0007"), 7u);
    EXPECT_EQ(value_of("magazine_blocks", "65536"), 65536u);
    for (const char* word : {"", "-1", "+1", " 1", "1 ", "1.5", "0x10", "1K", "one"}) {
        EXPECT_EQ(value_of("magazine_blocks", word), std::nullopt) << word;
    }
    EXPECT_EQ(value_of("magazine_blocks", "65537", out_of_range), std::nullopt);
}

TEST(Environment, Sizes) {
    const std::map<std::string, std::uint64_t> good{{"0", 0},
                                                    {"1", 1},
                                                    {"12B", 12},
                                                    {"2K", 2048},
                                                    {"2k", 2048},
                                                    {"2KiB", 2048},
                                                    {"2kib", 2048},
                                                    {"3M", 3u << 20},
                                                    {"3MiB", 3u << 20},
                                                    {"1G", 1u << 30},
                                                    {"1GiB", 1u << 30},
                                                    {"16GiB", 16ull << 30},
                                                    {"00016GIB", 16ull << 30}};
    for (const auto& [word, bytes] : good) EXPECT_EQ(value_of("large_cache", word), bytes) << word;
    for (const char* word :
         {"", "K", "KiB", "1KB", "1 K", "1KiBs", "1T", "-1", "1e9", "1Ki", "1MB"}) {
        EXPECT_EQ(value_of("large_cache", word), std::nullopt) << word;
    }
    for (const char* word : {"17GiB", "17179869185"}) {
        EXPECT_EQ(value_of("large_cache", word, out_of_range), std::nullopt) << word;
    }
}

TEST(Environment, Times) {
    EXPECT_EQ(value_of("decay", "0"), 0u);
    EXPECT_EQ(value_of("decay", "250"), 250u);
    EXPECT_EQ(value_of("decay", "250ms"), 250u);
    EXPECT_EQ(value_of("decay", "2s"), 2000u);
    EXPECT_EQ(value_of("decay", "2S"), 2000u);
    EXPECT_EQ(value_of("decay", "3600s"), 3600000u);
    for (const char* word : {"", "s", "1m", "1h", "1.5s", "1 s", "-1s"}) {
        EXPECT_EQ(value_of("decay", word), std::nullopt) << word;
    }
    for (const char* word : {"3601s", "3600001"}) {
        EXPECT_EQ(value_of("decay", word, out_of_range), std::nullopt) << word;
    }
}

TEST(Environment, Choices) {
    EXPECT_EQ(value_of("report", "off"), 0u);
    EXPECT_EQ(value_of("report", "text"), 1u);
    EXPECT_EQ(value_of("report", "JSON"), 2u);
    EXPECT_EQ(value_of("report", "1"), 1u);
    EXPECT_EQ(value_of("foreign", "ignore"), 2u);
    for (const char* word : {"", "tex", "textual", "off|text", "|", "text|", "-1"}) {
        EXPECT_EQ(value_of("report", word), std::nullopt) << word;
    }
    EXPECT_EQ(value_of("report", "3", out_of_range), std::nullopt);
}

TEST(Environment, Signals) {
    EXPECT_EQ(value_of("report_signal", "USR1"), std::uint64_t{SIGUSR1});
    EXPECT_EQ(value_of("report_signal", "SIGUSR1"), std::uint64_t{SIGUSR1});
    EXPECT_EQ(value_of("report_signal", "sigusr2"), std::uint64_t{SIGUSR2});
    EXPECT_EQ(value_of("report_signal", "0"), 0u);
    EXPECT_EQ(value_of("report_signal", "64"), 64u);
    for (const char* word : {"", "SIG", "SIGSIGUSR1", "USR", "SIGRTMIN", "-1"}) {
        EXPECT_EQ(value_of("report_signal", word), std::nullopt) << word;
    }
    EXPECT_EQ(value_of("report_signal", "65", out_of_range), std::nullopt);
}

// The names of signals are the system's own.
TEST(Environment, EverySignalThatHasANameIsTheSystemsOfThatName) {
    for (int number = 1; number < NSIG; number++) {
        const char* const name = sigabbrev_np(number);
        if (name == nullptr) continue;
        const auto value = value_of("report_signal", name);
        if (value.has_value()) {
            EXPECT_EQ(*value, static_cast<std::uint64_t>(number)) << name;
        }
    }
}

TEST(Environment, NumbersThatOverflowAreRefusedAndDoNotWrapRound) {
    for (const char* word :
         {"18446744073709551615", "18446744073709551616", "184467440737095516160",
          "99999999999999999999999999", "18446744073709551617"}) {
        EXPECT_EQ(value_of("large_cache", word, out_of_range), std::nullopt) << word;
        EXPECT_EQ(value_of("decay", word, out_of_range), std::nullopt) << word;
    }
    for (const char* word :
         {"36028797018963968KiB", "18014398509481984K", "17179869184GiB", "17592186044416MiB"}) {
        EXPECT_EQ(value_of("large_cache", word, out_of_range), std::nullopt) << word;
        EXPECT_EQ(value_of("decay", word), std::nullopt) << word;
    }
    EXPECT_EQ(value_of("decay", "18446744073709552s", out_of_range), std::nullopt);
}

TEST(Environment, WhatIsWrittenIsReadBackAsTheSameValue) {
    for (std::size_t i = 0; i < os::option_count(); i++) {
        const OptionRow& option = os::option_row(i);
        for (const std::uint64_t value : {option.minimum, option.default_value, option.maximum,
                                          option.minimum + (option.maximum - option.minimum) / 3}) {
            std::string written;
            {
                os::Text text(
                    [](const char* t, std::size_t length, void* context) {
                        static_cast<std::string*>(context)->append(t, length);
                    },
                    &written);
                os::write_option_value(text, option, value);
            }
            EXPECT_EQ(value_of(option.name, written), value) << option.name << "=" << written;
        }
    }
}

TEST(Environment, HugePagesAreAskedForNeverForAGrownHeapOrAlways) {
    EXPECT_EQ(row("huge_pages").default_value, 1u);
    EXPECT_EQ(value_of("huge_pages", "never"), 0u);
    EXPECT_EQ(value_of("huge_pages", "grown"), 1u);
    EXPECT_EQ(value_of("huge_pages", "always"), 2u);
    EXPECT_EQ(value_of("huge_pages", "sometimes"), std::nullopt);
}

TEST(Environment, NamesAreWrittenAsTheyStandInTheEnvironment) {
    tests::CapturedMessages messages;
    {
        os::Message message;
        os::write_option_name(message, row("magazine_blocks"));
    }
    EXPECT_EQ(messages.text(), "hakmem: HAKMEM_MAGAZINE_BLOCKS\n");
}

// ---- complaints ---------------------------------------------------------------------------------

TEST(Environment, ABadValueIsQuotedWithItsRangeAndTheDefaultStays) {
    EXPECT_EQ(parse({"HAKMEM_DECAY=soon"}).messages,
              "hakmem: HAKMEM_DECAY=\"soon\" is not understood (0ms to 3600000ms); "
              "the default 500ms stays\n");
    EXPECT_EQ(parse({"HAKMEM_LARGE_CACHE=17GiB"}).messages,
              "hakmem: HAKMEM_LARGE_CACHE=\"17GiB\" is out of range (0 to 16GiB); "
              "the default 256MiB stays\n");
    EXPECT_EQ(parse({"HAKMEM_DECAY=99999999999999999999999s"}).messages,
              "hakmem: HAKMEM_DECAY=\"99999999999999999999999s\" is out of range "
              "(0ms to 3600000ms); the default 500ms stays\n");
    EXPECT_EQ(parse({"HAKMEM_FOREIGN=3"}).messages,
              "hakmem: HAKMEM_FOREIGN=\"3\" is out of range (libc|abort|ignore); "
              "the default libc stays\n");
    EXPECT_EQ(parse({"HAKMEM_FOREIGN=keep"}).messages,
              "hakmem: HAKMEM_FOREIGN=\"keep\" is not understood (libc|abort|ignore); "
              "the default libc stays\n");
    EXPECT_EQ(parse({"HAKMEM_HARDENED=2"}).messages,
              "hakmem: HAKMEM_HARDENED=\"2\" is not understood (0 or 1); the default 0 stays\n");
    EXPECT_EQ(parse({"HAKMEM_REPORT_SIGNAL=KILLER"}).messages,
              "hakmem: HAKMEM_REPORT_SIGNAL=\"KILLER\" is not understood "
              "(a signal's name or number, 0 for none); the default 0 stays\n");
}

TEST(Environment, AnUnknownNameIsAnsweredWithTheNearest) {
    EXPECT_EQ(parse({"HAKMEM_DECAI=1"}).messages,
              "hakmem: there is no option \"HAKMEM_DECAI\"; the nearest is HAKMEM_DECAY\n");
    const std::map<std::string, std::string> nearest{
        {"HAKMEM_HARDENEND=1", "HAKMEM_HARDENED"},
        {"HAKMEM_REPROT=1", "HAKMEM_REPORT"},
        {"HAKMEM_MAGAZINE_BLOCK=1", "HAKMEM_MAGAZINE_BLOCKS"},
        {"HAKMEM_magazine_bites=1", "HAKMEM_MAGAZINE_BYTES"},
        {"HAKMEM_ELP=1", "HAKMEM_HELP"},
        {"HAKMEM_STRICKT=1", "HAKMEM_STRICT"},
        {"HAKMEM_LARGECACHE=1", "HAKMEM_LARGE_CACHE"}};
    for (const auto& [entry, name] : nearest) {
        const Parsed parsed = parse({entry});
        EXPECT_EQ(parsed.complaints, 1u);
        EXPECT_NE(parsed.messages.find("the nearest is " + name + "\n"), std::string::npos)
            << parsed.messages;
    }
}

TEST(Environment, AnUnknownNameWithNothingNearIsAnsweredWithTheWayToTheList) {
    for (const std::string name : {"HAKMEM_ZZZZZZ", "HAKMEM_", "HAKMEM_ALLOCATOR"}) {
        EXPECT_EQ(parse({name + "=1"}).messages,
                  "hakmem: there is no option \"" + name + "\"; HAKMEM_HELP=1 lists them\n");
    }
    for (const std::size_t length : {32u, 33u, 64u, 65u, 1000u}) {
        const Parsed parsed = parse({"HAKMEM_" + std::string(length, 'Z') + "=1"});
        EXPECT_NE(parsed.messages.find("; HAKMEM_HELP=1 lists them\n"), std::string::npos)
            << length;
    }
}

TEST(Environment, TheNearestNameIsOneOfThisPhase) {
    EXPECT_EQ(parse({"HAKMEM_TINY_TUNE=1"}).messages.find("TINY_TUNER"), std::string::npos);
}

TEST(Environment, EachComplaintIsOneLineAndTheRestIsRead) {
    const Parsed parsed = parse({"HAKMEM_DECAY=7", "HAKMEM_NOSUCH=1", "HAKMEM_HARDENED=maybe",
                                 "PATH=/bin", "HAKMEM_REPORT=json", "HAKMEM_DECAY=bad"});
    EXPECT_EQ(parsed.complaints, 3u);
    EXPECT_EQ(std::count(parsed.messages.begin(), parsed.messages.end(), '\n'), 3);
    EXPECT_EQ(parsed.values.decay, 7u);
    EXPECT_EQ(parsed.values.report, 2u);
    EXPECT_EQ(parsed.values.hardened, 0u);
}

TEST(Environment, WhatDoesNotBeginWithThePrefixIsNotOurs) {
    EXPECT_EQ(parse({"DECAY=1", "hakmem_decay=1", "HAKMEM=1", "HAKMEMDECAY=1", "=", "",
                     "XHAKMEM_DECAY=1", "HAKMEM_DECAY"})
                  .messages,
              "");
}

TEST(Environment, ControlCharactersAreNotPrintedAndLongTextIsCut) {
    const Parsed bell = parse({std::string("HAKMEM_DECAY=\033[31m\a\x80\xff")});
    EXPECT_NE(bell.messages.find("\"?[31m???\""), std::string::npos) << bell.messages;
    const Parsed longer = parse({"HAKMEM_DECAY=" + std::string(10000, 'x')});
    EXPECT_NE(longer.messages.find('"' + std::string(60, 'x') + "...\""), std::string::npos);
    const Parsed name = parse({"HAKMEM_" + std::string(10000, 'X') + "=1"});
    EXPECT_EQ(name.complaints, 1u);
    EXPECT_LT(name.messages.size(), 200u);
}

RC_GTEST_PROP(Environment, AnyBytesAreSurvivedAndEitherUnderstoodOrComplainedAbout, ()) {
    const auto i = *rc::gen::inRange<std::size_t>(0, os::option_count());
    const OptionRow& option = os::option_row(i);
    // Random bytes, and random words over the letters that values are made of.
    const auto bytes = rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127));
    const auto words = rc::gen::container<std::string>(
        rc::gen::elementOf(std::string("0123456789kKmMgGiBbsS.-+ |onfetxjUSRIG")));
    std::string value = *rc::gen::oneOf(bytes, words);
    const std::string high = *rc::gen::container<std::string>(rc::gen::arbitrary<char>());
    for (const char c : high) {
        if (c != '\0') value += c;
    }
    std::string name = option.name;
    std::transform(name.begin(), name.end(), name.begin(),
                   [](char c) { return static_cast<char>(std::toupper(c)); });
    const Parsed parsed = parse({"HAKMEM_" + name + "=" + value});
    const std::uint64_t got = parsed.values.*option.field;
    RC_ASSERT(got >= option.minimum);
    RC_ASSERT(got <= option.maximum);
    RC_ASSERT((parsed.complaints == 0) == parsed.messages.empty());
    if (parsed.complaints != 0) RC_ASSERT(got == option.default_value);
    for (const char c : parsed.messages) RC_ASSERT((c >= ' ' && c <= '~') || c == '\n');
}

RC_GTEST_PROP(Environment, AnyNameIsSurvived, ()) {
    std::string name;
    for (const char c : *rc::gen::container<std::string>(rc::gen::arbitrary<char>())) {
        if (c != '\0' && c != '=') name += c;
    }
    const Parsed parsed = parse({"HAKMEM_" + name + "=1"});
    RC_ASSERT(parsed.complaints == (os::find_option(name.c_str()) == nullptr ? 1u : 0u));
}

// ---- the real environment, which abi/lifecycle reads before main
// ---------------------------------

// Starts children whose environment has one entry more.
class EnvironmentDeathTest : public tests::Pristine {
protected:
    ~EnvironmentDeathTest() override {
        for (const char* name : given_) unsetenv(name);
    }
    void give(const char* name, const char* value) {
        setenv(name, value, 1);
        given_.push_back(name);
    }

private:
    std::vector<const char*> given_;
};

TEST_F(EnvironmentDeathTest, OptionsAreInForceBeforeMain) {
    give("HAKMEM_DECAY", "7s");
    EXPECT_EXIT(in_child([] { CHILD_REQUIRE(os::options().decay == 7000); }),
                testing::ExitedWithCode(0), "");
}

TEST_F(EnvironmentDeathTest, ABadValueAloneIsNotFatal) {
    give("HAKMEM_DECAY", "bad");
    EXPECT_EXIT(in_child([] { CHILD_REQUIRE(os::options().decay == 500); }),
                testing::ExitedWithCode(0), "HAKMEM_DECAY=\"bad\" is not understood");
}

TEST_F(EnvironmentDeathTest, StrictMakesABadValueFatal) {
    give("HAKMEM_DECAY", "bad");
    give("HAKMEM_STRICT", "1");
    EXPECT_EXIT(in_child([] {}), testing::ExitedWithCode(1),
                "HAKMEM_DECAY=\"bad\" is not understood[^\n]*\n"
                "hakmem: HAKMEM_STRICT is set: the process ends here");
}

TEST_F(EnvironmentDeathTest, StrictMakesAnUnknownNameFatal) {
    give("HAKMEM_NOSUCH", "1");
    give("HAKMEM_STRICT", "yes");
    EXPECT_EXIT(in_child([] {}), testing::ExitedWithCode(1),
                "there is no option \"HAKMEM_NOSUCH\"");
}

TEST_F(EnvironmentDeathTest, StrictAloneIsNot) {
    give("HAKMEM_STRICT", "1");
    EXPECT_EXIT(in_child([] { CHILD_REQUIRE(os::options().strict == 1); }),
                testing::ExitedWithCode(0), "");
}

TEST_F(EnvironmentDeathTest, HelpListsEveryOptionWithValueOriginAndRange) {
    give("HAKMEM_HELP", "1");
    give("HAKMEM_DECAY", "2s");
    EXPECT_EXIT(in_child([] {}), testing::ExitedWithCode(0),
                "HAKMEM_HELP=1  .environment; 0 or 1.\n(.|\n)*"
                "HAKMEM_FOREIGN=libc  .default; libc.abort.ignore.\n(.|\n)*"
                "HAKMEM_DECAY=2000ms  .environment; 0ms to 3600000ms.\n(.|\n)*"
                "HAKMEM_LARGE_CACHE=256MiB  .default; 0 to 16GiB.\n");
}

}  // namespace
