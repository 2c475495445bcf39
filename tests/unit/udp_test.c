/* SPDX-License-Identifier: Apache-2.0 */
/* UDP datagrams: built, read again, and everything that is not one refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "enclave/net/bytes.h"
#include "enclave/net/checksum.h"
#include "enclave/net/udp.h"

#define SOURCE 0x0a000001u      /* 10.0.0.1 */
#define DESTINATION 0x0a000002u /* 10.0.0.2 */
#define PAYLOAD 34u
#define FRAME (UDP_OVERHEAD + PAYLOAD)
#define FOUR_MAX (ETHERNET_HEADER + IPV4_HEADER_MAX + UDP_HEADER)
#define FRAME_SIX (UDP_OVERHEAD_SIX + PAYLOAD)

static const uint8_t payload[PAYLOAD] = "a datagram is whole or not at all";

/* A good frame of FRAME bytes. */
static void make(uint8_t *frame)
{
    const struct udp_fields f = {
        .source_mac = 0x020000000001,
        .destination_mac = 0x0200000000fe,
        .source = ip_four(SOURCE),
        .destination = ip_four(DESTINATION),
        .source_port = 40000,
        .destination_port = 5201,
        .length = PAYLOAD,
        .payload_sum = (uint16_t)checksum_sum(payload, PAYLOAD),
        .identification = 7,
        .ttl = 64,
        .tos = 0x10,
    };
    udp_build(frame, &f);
    memcpy(frame + UDP_OVERHEAD, payload, PAYLOAD);
}

static void header_checksum(uint8_t *frame)
{
    uint8_t *ip = frame + ETHERNET_HEADER;
    store_be16(ip + 10, 0);
    store_be16(ip + 10, (uint16_t)~checksum_sum(ip, (ip[0] % 16) * 4u));
}

static void what_is_built_can_be_read(void **state)
{
    uint8_t frame[FRAME];
    struct udp_datagram d;
    (void)state;
    make(frame);
    assert_int_equal(udp_parse(frame, FRAME, FRAME, &d), 0);
    assert_true(ip_equal(d.source, ip_four(SOURCE)));
    assert_true(ip_equal(d.destination, ip_four(DESTINATION)));
    assert_int_equal(d.source_port, 40000);
    assert_int_equal(d.destination_port, 5201);
    assert_int_equal(d.offset, UDP_OVERHEAD);
    assert_int_equal(d.length, PAYLOAD);
    assert_int_equal(d.ttl, 64);
    assert_int_equal(d.tos, 0x10);
    assert_int_equal(d.checksum, UDP_CHECKSUM_PAYLOAD);
    assert_int_equal(checksum_fold(d.sum + checksum_sum(payload, PAYLOAD)), 0xffff);
    assert_memory_equal(frame, "\x02\0\0\0\0\xfe\x02\0\0\0\0\x01\x08\0", ETHERNET_HEADER);
    assert_int_equal(load_be16(frame + ETHERNET_HEADER + 6), 0x4000); /* not to be fragmented */
}

static void only_the_headers_need_be_known(void **state)
{
    uint8_t frame[FRAME];
    struct udp_datagram d;
    (void)state;
    make(frame);
    assert_int_equal(udp_parse(frame, UDP_OVERHEAD, FRAME, &d), 0);
    assert_int_equal(d.length, PAYLOAD);
    for (uint32_t n = 0; n < UDP_OVERHEAD; n++)
        assert_int_equal(udp_parse(frame, n, FRAME, &d), -EINVAL);
}

static void a_frame_that_is_cut_is_refused(void **state)
{
    struct udp_datagram d;
    (void)state;
    for (uint32_t n = 0; n < FRAME; n++) {
        uint8_t whole[FRAME], *cut = malloc(n ? n : 1); /* so that reading beyond is seen */
        make(whole);
        memcpy(cut, whole, n);
        assert_int_equal(udp_parse(cut, n, n, &d), -EINVAL);
        free(cut);
    }
}

static void padding_behind_the_packet_is_ignored(void **state)
{
    uint8_t frame[FRAME + 20] = {0};
    struct udp_datagram d;
    (void)state;
    make(frame);
    assert_int_equal(udp_parse(frame, FRAME + 20, FRAME + 20, &d), 0);
    assert_int_equal(d.length, PAYLOAD);
}

static void checksums_that_need_no_payload(void **state)
{
    uint8_t frame[FRAME], *field = frame + UDP_OVERHEAD - 2;
    struct udp_datagram d;
    (void)state;
    make(frame);
    store_be16(field, 0);
    assert_int_equal(udp_parse(frame, FRAME, FRAME, &d), 0);
    assert_int_equal(d.checksum, UDP_CHECKSUM_GOOD);
    store_be16(field, checksum_fold(checksum_pseudo(ip_four(SOURCE), ip_four(DESTINATION), UDP_HEADER + PAYLOAD)));
    assert_int_equal(udp_parse(frame, FRAME, FRAME, &d), 0);
    assert_int_equal(d.checksum, UDP_CHECKSUM_GOOD);
}

static void a_checksum_of_zero_is_sent_as_ones(void **state)
{
    struct udp_fields f = {.source = ip_four(SOURCE), .destination = ip_four(DESTINATION), .length = 2};
    uint8_t frame[UDP_OVERHEAD_SIX];
    (void)state;
    uint32_t sum = checksum_pseudo(ip_four(SOURCE), ip_four(DESTINATION), UDP_HEADER + 2) + UDP_HEADER + 2;
    f.payload_sum = (uint16_t)(0xffff - checksum_fold(sum));
    udp_build(frame, &f);
    assert_int_equal(load_be16(frame + UDP_OVERHEAD - 2), 0xffff);
}

static void options_are_skipped(void **state)
{
    uint8_t frame[FOUR_MAX + PAYLOAD] = {0}, plain[FRAME];
    struct udp_datagram d;
    (void)state;
    make(plain);
    memcpy(frame, plain, ETHERNET_HEADER + IPV4_HEADER);
    memset(frame + ETHERNET_HEADER + IPV4_HEADER, 1, IPV4_HEADER_MAX - IPV4_HEADER); /* no operation */
    memcpy(frame + ETHERNET_HEADER + IPV4_HEADER_MAX, plain + ETHERNET_HEADER + IPV4_HEADER,
           UDP_HEADER + PAYLOAD);
    frame[ETHERNET_HEADER] = 0x4f;
    store_be16(frame + ETHERNET_HEADER + 2, IPV4_HEADER_MAX + UDP_HEADER + PAYLOAD);
    header_checksum(frame);
    assert_int_equal(udp_parse(frame, FOUR_MAX, sizeof frame, &d), 0);
    assert_int_equal(d.offset, FOUR_MAX);
    assert_int_equal(d.length, PAYLOAD);
    assert_int_equal(udp_parse(frame, FOUR_MAX - 1, sizeof frame, &d), -EINVAL);
}

/* A change of one or two bytes of a good frame, after which the header's checksum is right again. */
static const struct {
    const char *what;
    unsigned at;
    int byte, next; /* -1: unchanged */
} malformed[] = {
    {"another Ethernet type", 12, 0x86, 0xdd},
    {"VLAN tag", 12, 0x81, 0x00},
    {"IP version 6", 14, 0x65, -1},
    {"IP version 0", 14, 0x05, -1},
    {"header of 0 bytes", 14, 0x40, -1},
    {"header of 16 bytes", 14, 0x44, -1},
    {"header beyond the packet", 14, 0x4f, -1},
    {"total length 0", 16, 0, 0},
    {"total length below the header", 16, 0, 19},
    {"total length without room for UDP", 16, 0, 27},
    {"total length beyond the frame", 16, 0, FRAME - ETHERNET_HEADER + 1},
    {"total length 65535", 16, 0xff, 0xff},
    {"more fragments", 20, 0x20, -1},
    {"a later fragment", 20, 0x00, 0x01},
    {"the last fragment", 20, 0x1f, 0xff},
    {"TCP", 23, 6, -1},
    {"UDP length 0", 38, 0, 0},
    {"UDP length 7", 38, 0, 7},
    {"UDP length beyond the packet", 38, 0, UDP_HEADER + PAYLOAD + 1},
    {"UDP length 65535", 38, 0xff, 0xff},
};

static void malformed_packets_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
        uint8_t *frame = malloc(FRAME);
        struct udp_datagram d;
        make(frame);
        frame[malformed[i].at] = (uint8_t)malformed[i].byte;
        if (malformed[i].next >= 0)
            frame[malformed[i].at + 1] = (uint8_t)malformed[i].next;
        if ((frame[ETHERNET_HEADER] % 16) * 4u <= FRAME - ETHERNET_HEADER)
            header_checksum(frame);
        if (udp_parse(frame, FRAME, FRAME, &d) != -EINVAL)
            fail_msg("accepted: %s", malformed[i].what);
        free(frame);
    }
}

static void a_wrong_header_checksum_is_told_apart(void **state)
{
    uint8_t frame[FRAME];
    struct udp_datagram d;
    (void)state;
    make(frame);
    frame[ETHERNET_HEADER + 8]--; /* the TTL */
    assert_int_equal(udp_parse(frame, FRAME, FRAME, &d), -EBADMSG);
}

/* ---- IPv6 ---- */

static const struct ip_address source_six = {0x20010db800000000, 1}, destination_six = {0xfe80000000000000, 2};

/* A good frame of FRAME_SIX bytes. */
static void make_six(uint8_t *frame)
{
    const struct udp_fields f = {
        .source_mac = 0x020000000001,
        .destination_mac = 0x0200000000fe,
        .source = source_six,
        .destination = destination_six,
        .source_port = 40000,
        .destination_port = 5201,
        .length = PAYLOAD,
        .payload_sum = (uint16_t)checksum_sum(payload, PAYLOAD),
        .ttl = 63,
        .tos = 0xb8,
        .flow_label = 0xabcde,
    };
    udp_build(frame, &f);
    memcpy(frame + UDP_OVERHEAD_SIX, payload, PAYLOAD);
}

static void what_is_built_for_ipv6_can_be_read(void **state)
{
    uint8_t frame[FRAME_SIX];
    struct udp_datagram d;
    (void)state;
    make_six(frame);
    assert_int_equal(udp_parse(frame, UDP_OVERHEAD_SIX, FRAME_SIX, &d), 0);
    assert_true(ip_equal(d.source, source_six));
    assert_true(ip_equal(d.destination, destination_six));
    assert_int_equal(d.source_port, 40000);
    assert_int_equal(d.destination_port, 5201);
    assert_int_equal(d.offset, UDP_OVERHEAD_SIX);
    assert_int_equal(d.length, PAYLOAD);
    assert_int_equal(d.ttl, 63);
    assert_int_equal(d.tos, 0xb8);
    assert_int_equal(d.flow, 0xb8abcde);
    assert_int_equal(d.checksum, UDP_CHECKSUM_PAYLOAD);
    assert_int_equal(checksum_fold(d.sum + checksum_sum(payload, PAYLOAD)), 0xffff);
    assert_memory_equal(frame + 12, "\x86\xdd\x6b\x8a\xbc\xde", 6);
}

static void an_ipv6_frame_that_is_cut_is_refused(void **state)
{
    struct udp_datagram d;
    (void)state;
    for (uint32_t n = 0; n < FRAME_SIX; n++) {
        uint8_t whole[FRAME_SIX], *cut = malloc(n ? n : 1);
        make_six(whole);
        memcpy(cut, whole, n);
        assert_int_equal(udp_parse(cut, n, n, &d), -EINVAL);
        free(cut);
    }
}

static void ipv6_checksums(void **state)
{
    uint8_t frame[FRAME_SIX], *field = frame + UDP_OVERHEAD_SIX - 2;
    struct udp_datagram d;
    (void)state;
    make_six(frame);
    store_be16(field, (uint16_t)checksum_pseudo(source_six, destination_six, UDP_HEADER + PAYLOAD));
    assert_int_equal(udp_parse(frame, FRAME_SIX, FRAME_SIX, &d), 0);
    assert_int_equal(d.checksum, UDP_CHECKSUM_GOOD);
    store_be16(field, 0); /* IPv4 may go without, IPv6 may not */
    assert_int_equal(udp_parse(frame, FRAME_SIX, FRAME_SIX, &d), -EBADMSG);
}

/* Linux reads a UDP length of zero as "all there is". */
static void an_ipv6_datagram_without_a_length(void **state)
{
    uint8_t frame[FRAME_SIX];
    struct udp_datagram d;
    (void)state;
    make_six(frame);
    store_be16(frame + UDP_OVERHEAD_SIX - 4, 0);
    assert_int_equal(udp_parse(frame, FRAME_SIX, FRAME_SIX, &d), 0);
    assert_int_equal(d.length, PAYLOAD);
    assert_int_equal(d.checksum, UDP_CHECKSUM_PAYLOAD);
}

/* Headers between IPv6's and UDP's. */
static const struct {
    const char *what;
    bool good;
    uint8_t first;
    uint32_t length;
    uint8_t bytes[80];
} extensions[] = {
    {"padding", true, 0, 8, {17, 0, 1, 4, 0, 0, 0, 0}},
    {"single bytes of padding", true, 60, 8, {17, 0, 0, 0, 0, 0, 0, 0}},
    {"a router alert", true, 0, 8, {17, 0, 5, 2, 0, 0, 1, 0}},
    {"an unknown option to be skipped", true, 60, 8, {17, 0, 0x1e, 3, 1, 2, 3, 0}},
    {"an unknown option to drop for", false, 60, 8, {17, 0, 0x5e, 4, 1, 2, 3, 4}},
    {"an unknown option to complain about", false, 0, 8, {17, 0, 0x9e, 4, 1, 2, 3, 4}},
    {"a jumbogram", false, 0, 8, {17, 0, 0xc2, 4, 0, 1, 0, 0}},
    {"an option beyond its header", false, 60, 8, {17, 0, 1, 5, 0, 0, 0, 0}},
    {"an option without its length", false, 60, 8, {17, 0, 0, 0, 0, 0, 0, 1}},
    {"both kinds of options", true, 0, 16, {60, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0}},
    {"hop-by-hop options that are not first", false, 60, 16, {0, 0, 1, 4, 0, 0, 0, 0, 17, 0, 1, 4, 0, 0, 0, 0}},
    {"a route that is done", true, 43, 8, {17, 0, 0, 0, 0, 0, 0, 0}},
    {"a route that goes on", false, 43, 8, {17, 0, 0, 1, 0, 0, 0, 0}},
    {"a fragment", false, 44, 8, {17, 0, 0, 1, 0, 0, 0, 1}},
    {"a fragment that is whole", false, 44, 8, {17, 0, 0, 0, 0, 0, 0, 1}},
    {"authentication", false, 51, 8, {17, 0, 0, 0, 0, 0, 0, 0}},
    {"no next header", false, 59, 0, {0}},
    {"the longest", true, 60, 64, {17, 7, 1, 60}},
    {"one too long", false, 60, 72, {17, 8, 1, 68}},
    {"a header beyond the packet", false, 60, 8, {17, 255, 1, 4, 0, 0, 0, 0}},
};

static void extension_headers_are_walked_within_bounds(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof extensions / sizeof *extensions; i++) {
        uint32_t size = FRAME_SIX + extensions[i].length;
        uint8_t plain[FRAME_SIX], *frame = malloc(size);
        struct udp_datagram d;
        make_six(plain);
        memcpy(frame, plain, ETHERNET_HEADER + IPV6_HEADER);
        memcpy(frame + ETHERNET_HEADER + IPV6_HEADER, extensions[i].bytes, extensions[i].length);
        memcpy(frame + ETHERNET_HEADER + IPV6_HEADER + extensions[i].length,
               plain + ETHERNET_HEADER + IPV6_HEADER, UDP_HEADER + PAYLOAD);
        frame[ETHERNET_HEADER + 6] = extensions[i].first;
        store_be16(frame + ETHERNET_HEADER + 4, (uint16_t)(size - ETHERNET_HEADER - IPV6_HEADER));
        int result = udp_parse(frame, size, size, &d);
        if (result != (extensions[i].good ? 0 : -EINVAL))
            fail_msg("%s: %d", extensions[i].what, result);
        if (!result) {
            assert_int_equal(d.offset, UDP_OVERHEAD_SIX + extensions[i].length);
            assert_int_equal(d.length, PAYLOAD);
        }
        /* What is known ends within the headers. */
        for (uint32_t n = 0; n < UDP_OVERHEAD_SIX + extensions[i].length; n++) {
            uint8_t *part = malloc(n ? n : 1);
            memcpy(part, frame, n);
            assert_int_equal(udp_parse(part, n, size, &d), -EINVAL);
            free(part);
        }
        free(frame);
    }
}

static const struct {
    const char *what;
    unsigned at;
    int byte, next;
} malformed_six[] = {
    {"IP version 4", 14, 0x46, -1},
    {"payload length 0", 18, 0, 0},
    {"payload length without room for UDP", 18, 0, 7},
    {"payload length beyond the frame", 18, 0, UDP_HEADER + PAYLOAD + 1},
    {"payload length 65535", 18, 0xff, 0xff},
    {"TCP", 20, 6, -1},
    {"UDP length 7", 58, 0, 7},
    {"UDP length beyond the packet", 58, 0, UDP_HEADER + PAYLOAD + 1},
    {"UDP length 65535", 58, 0xff, 0xff},
};

static void malformed_ipv6_packets_are_refused(void **state)
{
    struct udp_datagram d;
    (void)state;
    for (size_t i = 0; i < sizeof malformed_six / sizeof *malformed_six; i++) {
        uint8_t frame[FRAME_SIX];
        make_six(frame);
        frame[malformed_six[i].at] = (uint8_t)malformed_six[i].byte;
        if (malformed_six[i].next >= 0)
            frame[malformed_six[i].at + 1] = (uint8_t)malformed_six[i].next;
        if (udp_parse(frame, FRAME_SIX, FRAME_SIX, &d) != -EINVAL)
            fail_msg("accepted: %s", malformed_six[i].what);
    }
}

/* Or ::ffff:127.0.0.1 from a network would be taken for the loopback address. */
static void ipv4_in_ipv6_is_refused(void **state)
{
    (void)state;
    for (unsigned at = 22; at <= 38; at += 16) {
        uint8_t frame[FRAME_SIX];
        struct udp_datagram d;
        make_six(frame);
        memcpy(frame + at, "\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\x01", 16);
        assert_int_equal(udp_parse(frame, FRAME_SIX, FRAME_SIX, &d), -EINVAL);
    }
}

/* Whatever the bytes are, what is accepted lies within the frame. */
static void random_bytes_never_lead_outside(void **state)
{
    unsigned seed = 1;
    (void)state;
    for (int round = 0; round < 20000; round++) {
        uint32_t length = (uint32_t)(seed >> 8) % 200;
        uint32_t n = length < 96 ? length : 96;
        uint8_t *frame = malloc(n ? n : 1);
        struct udp_datagram d;
        for (uint32_t i = 0; i < n; i++)
            frame[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16);
        if (n >= UDP_OVERHEAD_SIX && round % 2) {
            static const uint8_t kinds[] = {0, 17, 43, 60};
            store_be16(frame + 12, ETHERNET_TYPE_IPV6);
            frame[14] = 0x60;
            store_be16(frame + 18, (uint16_t)(frame[19] % 160));
            frame[20] = kinds[frame[20] % 4];
            frame[54] = kinds[frame[54] % 4];
            frame[55] %= 8;
            memset(frame + 56, 0, 6);
        } else if (n >= UDP_OVERHEAD) {
            store_be16(frame + 12, ETHERNET_TYPE_IPV4);
            frame[14] = (uint8_t)(0x45 + frame[14] % 4);
            store_be16(frame + 16, (uint16_t)(frame[17] + 20));
            store_be16(frame + 20, 0);
            frame[23] = IPV4_PROTOCOL_UDP;
            if (ETHERNET_HEADER + (frame[14] % 16) * 4u <= n)
                header_checksum(frame);
        }
        if (udp_parse(frame, n, length, &d) == 0) {
            assert_true(d.offset >= UDP_OVERHEAD && d.offset <= UDP_OVERHEAD_MAX);
            assert_true(d.offset <= length && d.length <= length - d.offset);
        }
        seed = seed * 1103515245 + 12345;
        free(frame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_built_can_be_read),
        cmocka_unit_test(only_the_headers_need_be_known),
        cmocka_unit_test(a_frame_that_is_cut_is_refused),
        cmocka_unit_test(padding_behind_the_packet_is_ignored),
        cmocka_unit_test(checksums_that_need_no_payload),
        cmocka_unit_test(a_checksum_of_zero_is_sent_as_ones),
        cmocka_unit_test(options_are_skipped),
        cmocka_unit_test(malformed_packets_are_refused),
        cmocka_unit_test(a_wrong_header_checksum_is_told_apart),
        cmocka_unit_test(what_is_built_for_ipv6_can_be_read),
        cmocka_unit_test(an_ipv6_frame_that_is_cut_is_refused),
        cmocka_unit_test(ipv6_checksums),
        cmocka_unit_test(an_ipv6_datagram_without_a_length),
        cmocka_unit_test(extension_headers_are_walked_within_bounds),
        cmocka_unit_test(malformed_ipv6_packets_are_refused),
        cmocka_unit_test(ipv4_in_ipv6_is_refused),
        cmocka_unit_test(random_bytes_never_lead_outside),
    };
    return cmocka_run_group_tests_name("udp", tests, NULL, NULL);
}
