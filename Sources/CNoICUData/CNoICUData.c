// A package of no ICU data, linked in place of the one that Foundation brings: 34 MB of calendars,
// collations and names of the world, none of which a server that reads and writes JSON looks at.
// A static program that is built with -DNO_ICU_DATA=icudt76_dat, the name that the toolchain's library
// gives to its data, speaks "root" alone; without the definition this file is empty.
// The layout is that of ICU's data files (udata.h).
#ifdef NO_ICU_DATA
#include <stdint.h>

struct package {
    struct {
        uint16_t header_size;
        uint8_t magic[2];
        struct {
            uint16_t size, reserved;
            uint8_t is_big_endian, charset_family, utf16_unit_bytes, reserved_byte;
            uint8_t format[4], format_version[4], data_version[4];
        } info;
        char padding[8];
    } header;
    // The table of contents: how many entries, then the first one, which is not read.
    uint32_t entries, reserved, names[2];
};

__attribute__((aligned(16))) const struct package NO_ICU_DATA = {
    .header = {
        .header_size = 32, .magic = {0xda, 0x27}, .padding = "nothing",
        .info = {.size = 20, .utf16_unit_bytes = 2, .format = {'T', 'o', 'C', 'P'}, .format_version = {1}},
    },
};
#endif
