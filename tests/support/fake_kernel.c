/* SPDX-License-Identifier: Apache-2.0 */
#include "support/fake_kernel.h"

#include <check.h>
#include <elf.h>
#include <lz4.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define SEGMENTS 3
#define BLOCK (8 << 20) /* lz4 -l */

struct segment {
	size_t off, paddr, filesz, memsz; /* paddr relative to FAKE_BASE */
};

/* Code in place; data and init at offsets that run ahead of addresses. */
static void layout(const struct fake_kernel *k, struct segment s[SEGMENTS])
{
	size_t text = align_up(k->text_len, (size_t)0x1000);

	s[0] = (struct segment){ FAKE_LEAD, 0, k->text_len, k->text_len };
	s[1] = (struct segment){ text + 0x2000, text, 0x800, 0x1000 };
	s[2] = (struct segment){ text + 0x4000, text + 0x1000, 0x600, 0x9000 };
}

/* Half noise and half repetition, so that every codec has something to do. */
static void contents(const struct segment *s, uint32_t seed, uint8_t *p)
{
	for (size_t i = 0; i < s->filesz; i++) {
		seed = seed * 1664525 + 1013904223;
		p[i] = i & 64 ? (uint8_t)(i >> 7) : (uint8_t)(seed >> 24);
	}
}

/* Three lists, as they are in the file: 64 bits, inverse 32, 32. */
static const struct reloc {
	unsigned int list, segment;
	size_t off;
} relocs[] = {
	{ 0, 0, 0x10 }, { 0, 0, 0x1ff0 }, { 0, 1, 0x7f8 },
	{ 0, 2, 0x40 }, { 1, 0, 0x40 },   { 1, 2, 0 },
	{ 2, 0, 0x20 }, { 2, 1, 0x61 },   { 2, 2, 0x5fc },
};

static bool used(const struct fake_kernel *k, const struct reloc *r)
{
	return k->lists == 3 || (k->lists == 2 && r->list != 1);
}

struct bytes fake_elf(const struct fake_kernel *k)
{
	struct segment s[SEGMENTS];
	Elf64_Ehdr e = {
		.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
			     EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = FAKE_BASE + FAKE_ENTRY,
		.e_phoff = sizeof(e),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = SEGMENTS,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 1,
	};
	struct bytes b;

	layout(k, s);
	e.e_shoff = s[2].off + s[2].filesz;
	b.len = e.e_shoff + sizeof(Elf64_Shdr);
	b.data = calloc(1, b.len);
	memcpy(b.data, &e, sizeof(e));
	for (unsigned int i = 0; i < SEGMENTS; i++) {
		const Elf64_Phdr p = {
			.p_type = PT_LOAD,
			.p_offset = s[i].off,
			.p_paddr = FAKE_BASE + s[i].paddr,
			.p_vaddr = 0xffffffff80000000 + FAKE_BASE + s[i].paddr,
			.p_filesz = s[i].filesz,
			.p_memsz = s[i].memsz,
		};
		memcpy(b.data + sizeof(e) + i * sizeof(p), &p, sizeof(p));
		contents(&s[i], i, b.data + s[i].off);
	}
	return b;
}

static void append(struct bytes *b, uint32_t v)
{
	b->data = realloc(b->data, b->len + sizeof(v));
	memcpy(b->data + b->len, &v, sizeof(v));
	b->len += sizeof(v);
}

struct bytes fake_payload(const struct fake_kernel *k)
{
	struct bytes b = fake_elf(k);
	struct segment s[SEGMENTS];
	unsigned int list = 3;

	layout(k, s);
	for (size_t i = 0; i < ARRAY_SIZE(relocs); i++) {
		const struct reloc *r = &relocs[i];

		if (!used(k, r))
			continue;
		if (r->list != list)
			append(&b, 0);
		list = r->list;
		append(&b, (uint32_t)(0x80000000 + FAKE_BASE +
				      s[r->segment].paddr + r->off));
	}
	return b;
}

/* Adds byte by byte with carry. */
static void add(uint8_t *p, unsigned int size, uint64_t by)
{
	unsigned int sum = 0;

	for (unsigned int n = 0; n < size; n++) {
		sum += p[n] + (by >> 8 * n & 0xff);
		p[n] = (uint8_t)sum;
		sum >>= 8;
	}
}

struct bytes fake_loaded(const struct fake_kernel *k, uint32_t shift)
{
	struct segment s[SEGMENTS];
	struct bytes b;

	layout(k, s);
	b.len = s[2].paddr + s[2].memsz;
	b.data = calloc(1, b.len);
	for (unsigned int i = 0; i < SEGMENTS; i++)
		contents(&s[i], i, b.data + s[i].paddr);
	for (size_t i = 0; i < ARRAY_SIZE(relocs); i++) {
		const struct reloc *r = &relocs[i];

		if (used(k, r))
			add(b.data + s[r->segment].paddr + r->off,
			    r->list ? 4 : 8,
			    r->list == 1 ? -(uint64_t)shift : shift);
	}
	return b;
}

static size_t pack_gzip(const struct bytes *in, uint8_t *out, size_t room)
{
	z_stream z = { .next_in = in->data,
		       .avail_in = (uInt)in->len,
		       .next_out = out,
		       .avail_out = (uInt)room };

	ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8,
				      Z_DEFAULT_STRATEGY),
			 Z_OK);
	ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
	deflateEnd(&z);
	return room - z.avail_out;
}

static size_t pack_lz4(const struct bytes *in, uint8_t *out)
{
	static const uint8_t magic[] = { 0x02, 0x21, 0x4c, 0x18 };
	size_t done = 0, at = sizeof(magic);

	memcpy(out, magic, sizeof(magic));
	while (done < in->len) {
		int n = (int)min_of(in->len - done, (size_t)BLOCK);
		uint32_t len =
			(uint32_t)LZ4_compress_default((char *)in->data + done,
						       (char *)out + at + 4, n,
						       LZ4_compressBound(n));

		ck_assert_uint_ne(len, 0);
		memcpy(out + at, &len, sizeof(len));
		at += 4 + len;
		done += (size_t)n;
	}
	return at;
}

static size_t pack_xz(const struct bytes *in, uint8_t *out, size_t room)
{
	size_t len = 0;

	ck_assert_int_eq(lzma_easy_buffer_encode(0, LZMA_CHECK_CRC32, NULL,
						 in->data, in->len, out, &len,
						 room),
			 LZMA_OK);
	return len;
}

/* As from a pipe: the frame does not say how long its contents are. */
static size_t pack_zstd(const struct bytes *in, uint8_t *out, size_t room)
{
	ZSTD_CCtx *ctx = ZSTD_createCCtx();
	size_t len;

	ZSTD_CCtx_setParameter(ctx, ZSTD_c_contentSizeFlag, 0);
	ZSTD_CCtx_setParameter(ctx, ZSTD_c_checksumFlag, 1);
	len = ZSTD_compress2(ctx, out, room, in->data, in->len);
	ck_assert(!ZSTD_isError(len));
	ZSTD_freeCCtx(ctx);
	return len;
}

struct bytes fake_compress(const char *codec, struct bytes in)
{
	size_t room = 2 * in.len + 4096;
	struct bytes out = { .data = calloc(1, room) };

	if (!strcmp(codec, "gzip"))
		out.len = pack_gzip(&in, out.data, room);
	else if (!strcmp(codec, "lz4"))
		out.len = pack_lz4(&in, out.data);
	else if (!strcmp(codec, "xz"))
		out.len = pack_xz(&in, out.data, room);
	else if (!strcmp(codec, "zstd"))
		out.len = pack_zstd(&in, out.data, room);
	else
		out.len = in.len; /* something nobody knows */
	/* The last four bytes of a gzip stream are the length already. */
	if (strcmp(codec, "gzip"))
		append(&out, (uint32_t)in.len);
	free(in.data);
	return out;
}

void fake_poke(struct bytes b, size_t off, unsigned int size, uint64_t value)
{
	ck_assert(off <= b.len && size <= b.len - off);
	memcpy(b.data + off, &value, size);
}

/* Offsets: x86/boot.rst, "Details of Header Fields". */
struct bytes fake_bzimage(struct bytes payload)
{
	const size_t setup = 5 * 512, payload_off = 0x210;
	struct bytes b = { .len = setup + payload_off + payload.len };

	b.len = align_up(b.len, (size_t)16);
	b.data = calloc(1, b.len);
	memcpy(b.data + setup + payload_off, payload.data, payload.len);
	fake_poke(b, 0x1f1, 1, setup / 512 - 1);
	fake_poke(b, 0x1f4, 4, (b.len - setup) / 16);
	fake_poke(b, 0x1fe, 2, 0xaa55);
	fake_poke(b, 0x200, 2, 0x6aeb); /* jump over the header */
	fake_poke(b, 0x202, 4, 0x53726448);
	fake_poke(b, 0x206, 2, 0x020f);
	fake_poke(b, 0x211, 1, 1);          /* LOADED_HIGH */
	fake_poke(b, 0x22c, 4, 0x7fffffff); /* initrd_addr_max */
	fake_poke(b, 0x230, 4, 0x200000);   /* kernel_alignment */
	fake_poke(b, 0x234, 1, 1);          /* relocatable_kernel */
	fake_poke(b, 0x236, 2, 1);          /* XLF_KERNEL_64 */
	fake_poke(b, 0x238, 4, 2047);       /* cmdline_size */
	fake_poke(b, 0x248, 4, payload_off);
	fake_poke(b, 0x24c, 4, payload.len);
	fake_poke(b, 0x258, 8, FAKE_BASE); /* pref_address */
	fake_poke(b, 0x260, 4, 0x100000);  /* init_size */
	free(payload.data);
	return b;
}

const char *fake_file(struct bytes b, int *fd)
{
	static char paths[4][32];
	static unsigned int next;
	char *path = paths[next++ % 4];

	*fd = memfd_create("fake", MFD_CLOEXEC);
	ck_assert_int_ge(*fd, 0);
	ck_assert_int_eq(write(*fd, b.data, b.len), (ssize_t)b.len);
	free(b.data);
	snprintf(path, sizeof(paths[0]), "/proc/self/fd/%d", *fd);
	return path;
}
