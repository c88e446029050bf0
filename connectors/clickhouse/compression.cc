#include "clickhouse/compression.h"

#include <lz4frame.h>
#include <zlib.h>
#include <zstd.h>

#include "clickhouse/clickhouse_options.h"

namespace tailwater::clickhouse {
namespace {

std::string Lz4(const std::string& text) {
  std::string out(LZ4F_compressFrameBound(text.size(), nullptr), '\0');
  const size_t size = LZ4F_compressFrame(out.data(), out.size(), text.data(), text.size(), nullptr);
  out.resize(LZ4F_isError(size) != 0 ? 0 : size);
  return out;
}

std::string Zstd(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  const size_t size = ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 1);
  out.resize(ZSTD_isError(size) != 0 ? 0 : size);
  return out;
}

std::string Gzip(const std::string& text) {
  constexpr int kGzipWindow = 15 + 16;
  z_stream stream{};
  if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, kGzipWindow, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
    return {};
  }
  std::string out(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef*>(out.data());
  stream.avail_out = static_cast<uInt>(out.size());
  const bool whole = deflate(&stream, Z_FINISH) == Z_STREAM_END;
  out.resize(whole ? stream.total_out : 0);
  deflateEnd(&stream);
  return out;
}

}  // namespace

std::string_view EncodingName(Compression compression) {
  switch (compression) {
    case Compression::kNone:
      return {};
    case Compression::kLz4:
      return "lz4";
    case Compression::kZstd:
      return "zstd";
    case Compression::kGzip:
      return "gzip";
  }
  return {};
}

std::string Compress(Compression compression, const std::string& text) {
  switch (compression) {
    case Compression::kNone:
      return {};
    case Compression::kLz4:
      return Lz4(text);
    case Compression::kZstd:
      return Zstd(text);
    case Compression::kGzip:
      return Gzip(text);
  }
  return {};
}

}  // namespace tailwater::clickhouse
