/* SPDX-License-Identifier: Apache-2.0 */
#include "boot/decompress.h"

#include <dlfcn.h>
#include <errno.h>
#include <lz4.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>
#include <zstd.h>

#include "vmm/base/err.h"

/* The compressed stream is read in pieces of this size. */
#define PIECE (128 * KIB)
#define SYMBOLS_MAX 8

/* Calls entry i of a codec's symbols with the type its header gives it. */
#define CALL(functions, i, name) ((__typeof__(&(name)))(functions)[i])

struct decompress_input {
	const struct decompress_job *job;
	uint64_t pos; /* of job->len */
	uint8_t buf[PIECE];
};

static int damaged(const char *what)
{
	return err_set(-EPROTO, "the %s stream is damaged", what);
}

/* Reads the next piece.  > 0: its size; 0: the stream is at its end. */
static int next_piece(struct decompress_input *in, size_t max)
{
	size_t len = min_of(in->job->len - in->pos, (uint64_t)max);
	int rc = util_pread(in->job->fd, in->buf, len, in->job->off + in->pos);

	if (rc)
		return err_set(rc, "cannot read: %s", strerror(-rc));
	in->pos += len;
	return (int)len;
}

/*
 * zstd: with a stable output buffer it looks matches up in the output itself
 * and needs no window, which would be up to 128 MiB.
 */
enum { ZSTD_CREATE, ZSTD_FREE, ZSTD_SET, ZSTD_RUN, ZSTD_IS_ERROR };
static const char *const zstd_symbols[] = {
	[ZSTD_CREATE] = "ZSTD_createDCtx",
	[ZSTD_FREE] = "ZSTD_freeDCtx",
	[ZSTD_SET] = "ZSTD_DCtx_setParameter",
	[ZSTD_RUN] = "ZSTD_decompressStream",
	[ZSTD_IS_ERROR] = "ZSTD_isError",
	NULL,
};
#define STABLE_OUT_BUFFER ZSTD_d_experimentalParam2 /* zstd.h, static part */

static bool zstd_set_stable(void *const *fn, ZSTD_DCtx *ctx, int value)
{
	size_t rc = CALL(fn, ZSTD_SET,
			 ZSTD_DCtx_setParameter)(ctx, STABLE_OUT_BUFFER, value);

	return !CALL(fn, ZSTD_IS_ERROR, ZSTD_isError)(rc);
}

static int run_zstd_with(struct decompress_job *job, void *const *fn,
			 ZSTD_DCtx *ctx, struct decompress_input *in)
{
	ZSTD_outBuffer out = { job->out, job->out_len, 0 };
	size_t left = 1;
	int n;

	/* Tried in any case, so that a partial job finds out for both. */
	if (!zstd_set_stable(fn, ctx, 1) ||
	    (job->partial && !zstd_set_stable(fn, ctx, 0)))
		return err_set(-ENOPKG, "libzstd is too old");
	while (left && (n = next_piece(in, PIECE))) {
		ZSTD_inBuffer piece = { in->buf, (size_t)n, 0 };

		if (n < 0)
			return n;
		while (left && piece.pos < piece.size) {
			left = CALL(fn, ZSTD_RUN,
				    ZSTD_decompressStream)(ctx, &out, &piece);
			if (CALL(fn, ZSTD_IS_ERROR, ZSTD_isError)(left))
				return damaged("zstd");
			if (job->partial && out.pos == out.size)
				return 0;
		}
	}
	return left || out.pos != out.size ? damaged("zstd") : 0;
}

static int run_zstd(struct decompress_job *job, struct decompress_input *in,
		    void *const *fn)
{
	ZSTD_DCtx *ctx = CALL(fn, ZSTD_CREATE, ZSTD_createDCtx)();
	int rc = -ENOMEM;

	if (ctx)
		rc = run_zstd_with(job, fn, ctx, in);
	else
		err_set(rc, "out of memory");
	CALL(fn, ZSTD_FREE, ZSTD_freeDCtx)(ctx);
	return rc;
}

enum { Z_INIT, Z_RUN, Z_END };
static const char *const zlib_symbols[] = {
	[Z_INIT] = "inflateInit2_",
	[Z_RUN] = "inflate",
	[Z_END] = "inflateEnd",
	NULL,
};
#define Z_GZIP_ONLY (16 + MAX_WBITS) /* zlib.h, inflateInit2 */

static int run_zlib_with(struct decompress_job *job, void *const *fn,
			 z_stream *z, struct decompress_input *in)
{
	int rc = Z_OK, n;

	z->next_out = job->out;
	z->avail_out = (uInt)job->out_len;
	while (rc == Z_OK && (n = next_piece(in, PIECE))) {
		if (n < 0)
			return n;
		z->next_in = in->buf;
		z->avail_in = (uInt)n;
		while (rc == Z_OK && z->avail_in) {
			rc = CALL(fn, Z_RUN, inflate)(z, Z_NO_FLUSH);
			if (job->partial && !z->avail_out)
				return 0;
		}
	}
	return rc != Z_STREAM_END || z->avail_out ? damaged("gzip") : 0;
}

static int run_zlib(struct decompress_job *job, struct decompress_input *in,
		    void *const *fn)
{
	z_stream z = { 0 };
	int rc;

	rc = CALL(fn, Z_INIT, inflateInit2_)(&z, Z_GZIP_ONLY, ZLIB_VERSION,
					     (int)sizeof(z));
	if (rc == Z_MEM_ERROR)
		return err_set(-ENOMEM, "out of memory");
	if (rc != Z_OK)
		return err_set(-ENOPKG, "libz is too old");
	rc = run_zlib_with(job, fn, &z, in);
	CALL(fn, Z_END, inflateEnd)(&z);
	return rc;
}

/*
 * xz: its dictionary is as large as the output or larger (Linux: 128 MiB), so
 * that one allocation is taken from the scratch space.
 */
enum { XZ_INIT, XZ_RUN, XZ_END };
static const char *const xz_symbols[] = {
	[XZ_INIT] = "lzma_stream_decoder",
	[XZ_RUN] = "lzma_code",
	[XZ_END] = "lzma_end",
	NULL,
};
#define XZ_LARGE (1 * MIB)        /* an allocation so large is the dictionary */
#define XZ_MEMORY_MAX (160 * MIB) /* address space; a partial job's too */

#define XZ_ALIGN 64

struct xz_memory {
	struct decompress_job *job;
	void *taken; /* the scratch space, while in use */
};

static void *xz_alloc(void *opaque, size_t count, size_t size)
{
	struct xz_memory *m = opaque;
	size_t len, skip;

	if (__builtin_mul_overflow(count, size, &len) || len > XZ_MEMORY_MAX)
		return NULL;
	if (len < XZ_LARGE)
		return malloc(len);
	if (m->job->partial) {
		m->job->scratch_need =
			max_of(m->job->scratch_need, len + XZ_ALIGN);
		return malloc(len);
	}
	skip = -(uintptr_t)(m->job->out + m->job->out_len) % XZ_ALIGN;
	if (m->taken || len + skip > m->job->scratch_len)
		return NULL;
	m->taken = m->job->out + m->job->out_len + skip;
	return m->taken;
}

static void xz_free(void *opaque, void *p)
{
	struct xz_memory *m = opaque;

	if (p && p == m->taken)
		m->taken = NULL;
	else
		free(p);
}

static int xz_error(lzma_ret rc)
{
	if (rc == LZMA_MEM_ERROR || rc == LZMA_MEMLIMIT_ERROR)
		return err_set(-ENOMEM, "the xz stream needs a dictionary that "
					"is too large");
	return damaged("xz");
}

static int run_xz_with(struct decompress_job *job, void *const *fn,
		       lzma_stream *xz, struct decompress_input *in)
{
	lzma_ret rc = LZMA_OK;
	int n;

	xz->next_out = job->out;
	xz->avail_out = job->out_len;
	while (rc == LZMA_OK && (n = next_piece(in, PIECE))) {
		if (n < 0)
			return n;
		xz->next_in = in->buf;
		xz->avail_in = (size_t)n;
		while (rc == LZMA_OK && xz->avail_in) {
			rc = CALL(fn, XZ_RUN, lzma_code)(xz, LZMA_RUN);
			if (job->partial && !xz->avail_out)
				return 0;
		}
	}
	return rc != LZMA_STREAM_END || xz->avail_out ? xz_error(rc) : 0;
}

static int run_xz(struct decompress_job *job, struct decompress_input *in,
		  void *const *fn)
{
	struct xz_memory memory = { .job = job };
	const lzma_allocator allocator = { xz_alloc, xz_free, &memory };
	lzma_stream xz = LZMA_STREAM_INIT;
	lzma_ret rc;
	int ret;

	xz.allocator = &allocator;
	rc = CALL(fn, XZ_INIT, lzma_stream_decoder)(&xz, XZ_MEMORY_MAX, 0);
	ret = rc == LZMA_OK ? run_xz_with(job, fn, &xz, in) : xz_error(rc);
	CALL(fn, XZ_END, lzma_end)(&xz);
	return ret;
}

/*
 * lz4, the format of `lz4 -l`: the magic, then blocks of 8 MiB when unpacked,
 * each a length and so many bytes.  A block is read to the end of the space
 * that it will unpack to, and a little beyond (lz4.h, "in-place").
 */
enum { LZ4_RUN, LZ4_PARTIAL };
static const char *const lz4_symbols[] = {
	[LZ4_RUN] = "LZ4_decompress_safe",
	[LZ4_PARTIAL] = "LZ4_decompress_safe_partial",
	NULL,
};
#define LZ4_BLOCK (8 * MIB)
#define LZ4_MARGIN(len) (((len) >> 8) + 32)
#define LZ4_SCRATCH (64 * KIB) /* not less than LZ4_MARGIN() of any block */

/* Reads the length of the block at pos; 0 or -errno. */
static int lz4_block_len(const struct decompress_job *job, uint64_t pos,
			 uint32_t *len)
{
	int rc;

	if (job->len - pos < sizeof(*len))
		return damaged("lz4");
	rc = util_pread(job->fd, len, sizeof(*len), job->off + pos);
	if (rc)
		return err_set(rc, "cannot read: %s", strerror(-rc));
	if (!*len || *len > LZ4_COMPRESSBOUND(LZ4_BLOCK) ||
	    *len > job->len - pos - sizeof(*len))
		return damaged("lz4");
	return 0;
}

static int lz4_partial(struct decompress_job *job, struct decompress_input *in,
		       void *const *fn, uint32_t len)
{
	int n;

	job->scratch_need = LZ4_SCRATCH;
	/* A piece is enough: nothing grows so much by being compressed. */
	if (job->out_len > PIECE / 2)
		return err_set(-EINVAL, "too much to look at");
	in->pos = 8; /* behind the magic and the first block's length */
	n = next_piece(in, min_of((uint64_t)len, PIECE));
	if (n < 0)
		return n;
	n = CALL(fn, LZ4_PARTIAL,
		 LZ4_decompress_safe_partial)((const char *)in->buf,
					      (char *)job->out, n,
					      (int)job->out_len,
					      (int)job->out_len);
	return n < 0 || (size_t)n != job->out_len ? damaged("lz4") : 0;
}

/* Unpacks one block to out, where room bytes and LZ4_SCRATCH more are left. */
static int lz4_block(const struct decompress_job *job, void *const *fn,
		     uint64_t off, uint32_t len, uint8_t *out, size_t room)
{
	size_t out_len = min_of((size_t)LZ4_BLOCK, room);
	size_t end = out_len + LZ4_MARGIN(len);
	int rc;

	if (len > end)
		return damaged("lz4");
	rc = util_pread(job->fd, out + end - len, len, off);
	if (rc)
		return err_set(rc, "cannot read: %s", strerror(-rc));
	rc = CALL(fn, LZ4_RUN,
		  LZ4_decompress_safe)((const char *)out + end - len,
				       (char *)out, (int)len, (int)out_len);
	return rc < 0 || (size_t)rc != out_len ? damaged("lz4") : 0;
}

static int run_lz4(struct decompress_job *job, struct decompress_input *in,
		   void *const *fn)
{
	uint64_t pos = 4; /* behind the magic */
	size_t done = 0;
	uint32_t len = 0;
	int rc;

	if (!job->partial && job->scratch_len < LZ4_SCRATCH)
		return err_set(-ENOMEM, "no room to unpack an lz4 stream");
	while (done < job->out_len) {
		rc = lz4_block_len(job, pos, &len);
		if (rc || job->partial)
			return rc ? rc : lz4_partial(job, in, fn, len);
		rc = lz4_block(job, fn, job->off + pos + sizeof(len), len,
			       job->out + done, job->out_len - done);
		if (rc)
			return rc;
		pos += sizeof(len) + len;
		done += min_of((size_t)LZ4_BLOCK, job->out_len - done);
	}
	return 0;
}

/* clang-format off */
static const struct decompress_codec codecs[] = {
	{ "zstd", "libzstd.so.1", "libzstd1", zstd_symbols,
	  { 0x28, 0xb5, 0x2f, 0xfd }, 4, run_zstd },
	{ "xz", "liblzma.so.5", "liblzma5", xz_symbols,
	  { 0xfd, '7', 'z', 'X', 'Z', 0 }, 6, run_xz },
	{ "lz4", "liblz4.so.1", "liblz4-1", lz4_symbols,
	  { 0x02, 0x21, 0x4c, 0x18 }, 4, run_lz4 },
	{ "gzip", "libz.so.1", "zlib1g", zlib_symbols,
	  { 0x1f, 0x8b, 0x08 }, 3, run_zlib },
};
/* clang-format on */

const struct decompress_codec *
decompress_detect(const uint8_t magic[DECOMPRESS_MAGIC_LEN])
{
	for (size_t i = 0; i < ARRAY_SIZE(codecs); i++)
		if (!memcmp(magic, codecs[i].magic, codecs[i].magic_len))
			return &codecs[i];
	return NULL;
}

/* Looks up what the codec calls. */
static int load(const struct decompress_codec *codec, void *library,
		void *functions[SYMBOLS_MAX])
{
	for (unsigned int i = 0; codec->symbols[i]; i++) {
		functions[i] = dlsym(library, codec->symbols[i]);
		if (!functions[i])
			return err_set(-ENOPKG, "%s has no %s", codec->library,
				       codec->symbols[i]);
	}
	return 0;
}

int decompress_run(const struct decompress_codec *codec,
		   struct decompress_job *job)
{
	void *library = dlopen(codec->library, RTLD_NOW | RTLD_LOCAL);
	struct decompress_input *in = calloc(1, sizeof(*in));
	void *functions[SYMBOLS_MAX] = { NULL };
	int rc;

	if (!library) {
		rc = err_set(-ENOPKG, "%s is missing (package %s)",
			     codec->library, codec->package);
	} else if (!in) {
		rc = err_set(-ENOMEM, "out of memory");
	} else {
		in->job = job;
		rc = load(codec, library, functions);
		if (!rc)
			rc = codec->run(job, in, functions);
	}
	free(in);
	if (library)
		dlclose(library);
	return rc;
}
