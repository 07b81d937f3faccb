#include <format>
#include <vector>

#include <zstd.h>

#include "core/os/crypto/crypto.hpp"

namespace cloudos::os {

namespace {

struct FreeCompressor {
  void operator()(ZSTD_CCtx* c) const { ZSTD_freeCCtx(c); }
};
struct FreeExpander {
  void operator()(ZSTD_DCtx* d) const { ZSTD_freeDCtx(d); }
};

Status set(ZSTD_CCtx* context, ZSTD_cParameter parameter, int value) {
  const auto code = ZSTD_CCtx_setParameter(context, parameter, value);
  if (ZSTD_isError(code) != 0) return fail(ErrorKind::failed, std::format("zstd does not take {}: {}", value, ZSTD_getErrorName(code)));
  return {};
}

// Feeds one piece of input, or ends the frame, and hands on all that comes out.
Status press(ZSTD_CCtx* context, std::span<const std::byte> piece, ZSTD_EndDirective end, std::span<std::byte> room, const ByteSink& out) {
  ZSTD_inBuffer input{.src = piece.data(), .size = piece.size(), .pos = 0};
  for (bool finished = false; !finished;) {
    ZSTD_outBuffer output{.dst = room.data(), .size = room.size(), .pos = 0};
    const auto left = ZSTD_compressStream2(context, &output, &input, end);
    if (ZSTD_isError(left) != 0) return fail(ErrorKind::failed, std::format("zstd: {}", ZSTD_getErrorName(left)));
    if (output.pos > 0) CLOUDOS_TRY(out(room.first(output.pos)));
    finished = end == ZSTD_e_end ? left == 0 : input.pos == input.size;
  }
  return {};
}

}  // namespace

std::string zstd_version() { return ZSTD_versionString(); }

Status zstd_compress(const ByteSource& in, const ByteSink& out, int level, int threads) {
  const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  if (!context) return fail(ErrorKind::io, "no memory for zstd");
  CLOUDOS_TRY(set(context.get(), ZSTD_c_compressionLevel, level));
  CLOUDOS_TRY(set(context.get(), ZSTD_c_checksumFlag, 1));
  CLOUDOS_TRY(set(context.get(), ZSTD_c_nbWorkers, threads));
  std::vector<std::byte> piece(ZSTD_CStreamInSize());
  std::vector<std::byte> room(ZSTD_CStreamOutSize());
  while (true) {
    CLOUDOS_ASSIGN(const std::size_t got, in(piece));
    if (got == 0) break;
    CLOUDOS_TRY(press(context.get(), std::span(piece).first(got), ZSTD_e_continue, room, out));
  }
  return press(context.get(), {}, ZSTD_e_end, room, out);
}

Status zstd_expand(const ByteSource& in, const ByteSink& out, Bytes limit) {
  const std::unique_ptr<ZSTD_DCtx, FreeExpander> context(ZSTD_createDCtx());
  if (!context) return fail(ErrorKind::io, "no memory for zstd");
  std::vector<std::byte> piece(ZSTD_DStreamInSize());
  std::vector<std::byte> room(ZSTD_DStreamOutSize());
  Bytes expanded;
  std::size_t wanted = 1;  // 0 exactly at the end of a frame
  while (true) {
    CLOUDOS_ASSIGN(const std::size_t got, in(piece));
    if (got == 0) break;
    ZSTD_inBuffer input{.src = piece.data(), .size = got, .pos = 0};
    bool full = false;  // the decoder may hold back output even when it has eaten all input
    while (input.pos < input.size || full) {
      ZSTD_outBuffer output{.dst = room.data(), .size = room.size(), .pos = 0};
      wanted = ZSTD_decompressStream(context.get(), &output, &input);
      if (ZSTD_isError(wanted) != 0) return fail(ErrorKind::input, std::format("not a sound zstd stream: {}", ZSTD_getErrorName(wanted)));
      expanded.count += output.pos;
      if (expanded > limit)
        return fail(ErrorKind::trust, std::format("the zstd stream expands to more than the {} bytes expected", limit.count));
      if (output.pos > 0) CLOUDOS_TRY(out(std::span(room).first(output.pos)));
      full = wanted != 0 && output.pos == output.size;
    }
  }
  if (wanted != 0) return fail(ErrorKind::input, "the zstd stream ends early");
  return {};
}

}  // namespace cloudos::os
