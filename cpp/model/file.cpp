#include "model/file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "latchwork/error.h"
#include "model/json.h"

namespace latchwork {
namespace {

[[noreturn]] void fail(const std::string& path, const char* doing, int code) {
  throw FileError(in_quotes(path) + ": " + doing + " failed: " + std::strerror(code), code);
}

void check_path(const std::string& path) {
  if (path.find('\0') != std::string::npos) throw Error("path must not hold a zero byte, got " + in_quotes(path));
}

int open_again(int folder, const char* name, int flags, mode_t mode = 0) {
  int descriptor = -1;
  do descriptor = ::openat(folder, name, flags | O_CLOEXEC, mode);
  while (descriptor < 0 && errno == EINTR);
  return descriptor;
}

// A new file in a folder, removed again unless it was renamed.
class Temporary {
 public:
  Temporary(int folder, const std::string& path) : folder_(folder) {
    static std::atomic<unsigned> count = 0;
    do {
      std::snprintf(name_, sizeof name_, ".latchwork-%ld-%u.tmp", static_cast<long>(::getpid()), count++);
      file_ = open_again(folder, name_, O_WRONLY | O_CREAT | O_EXCL, 0666);
    } while (file_ < 0 && errno == EEXIST);
    if (file_ < 0) fail(path, "creating a temporary file beside it", errno);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  ~Temporary() {
    if (!renamed_) ::unlinkat(folder_, name_, 0);
  }

  int file() const { return file_; }
  void rename(const std::string& to, const std::string& path) {
    if (::renameat(folder_, name_, folder_, to.c_str()) != 0) fail(path, "renaming the temporary file", errno);
    renamed_ = true;
  }

 private:
  int folder_, file_ = -1;
  char name_[64];
  bool renamed_ = false;
};

void write_all(int file, Bytes bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), std::min<std::size_t>(bytes.size(), 1u << 30));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail(path, "writing", errno);
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
}

}  // namespace

int Descriptor::close() noexcept {
  const int descriptor = std::exchange(descriptor_, -1);
  return descriptor < 0 ? 0 : ::close(descriptor);
}

InputFile::InputFile(const std::string& path) : path_(path), file_(-1) {
  check_path(path);
  file_ = Descriptor(open_again(AT_FDCWD, path.c_str(), O_RDONLY | O_NONBLOCK));  // a pipe must not hold us up
  struct stat about;
  if (file_.get() < 0 || ::fstat(file_.get(), &about) != 0) fail(path, "opening", errno);
  if (S_ISDIR(about.st_mode)) fail(path, "opening", EISDIR);
  if (!S_ISREG(about.st_mode)) throw Error(in_quotes(path) + " must be a regular file, got a device, pipe or socket");
  size_ = static_cast<std::uint64_t>(about.st_size);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> out) const {
  while (!out.empty()) {
    const std::size_t wanted = std::min<std::size_t>(out.size(), 1u << 30);
    const ssize_t got = ::pread(file_.get(), out.data(), wanted, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(path_, "reading", errno);
    if (got == 0) throw FileError(in_quotes(path_) + " became shorter while it was read", EIO);
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

void write_atomically(const std::string& path, const std::vector<Bytes>& parts) {
  check_path(path);
  const std::size_t slash = path.rfind('/');
  const std::string folder_name = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  if (name.empty()) throw Error("path must name a file, got " + in_quotes(path));
  const Descriptor folder(open_again(AT_FDCWD, folder_name.c_str(), O_RDONLY | O_DIRECTORY));
  if (folder.get() < 0) fail(path, "opening its folder", errno);
  Temporary temporary(folder.get(), path);
  Descriptor file(temporary.file());
  for (const Bytes part : parts) write_all(file.get(), part, path);
  if (::fsync(file.get()) != 0) fail(path, "writing to the disk", errno);
  if (file.close() != 0) fail(path, "closing", errno);
  temporary.rename(name, path);
  // The name itself must survive a crash too. Some file systems cannot do it and say EINVAL.
  if (::fsync(folder.get()) != 0 && errno != EINVAL) fail(path, "writing its folder to the disk", errno);
}

}  // namespace latchwork
