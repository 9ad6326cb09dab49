#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <span>
#include <string>

namespace tstitch {

// An output file that appears whole or not at all: the bytes go to a temporary file in the same folder, which
// takes the name at commit(). Until then a file of that name stays as it was.
//
// Every error is Error{device}: no such folder, no permission, something other than a file in the way, disk
// full (fail_writing).
class AtomicFile {
 public:
  // A symbolic link keeps pointing where it does: that file is replaced, or made. temporary_folder: where the
  // temporary file lies, on the same file system; by default beside the target.
  explicit AtomicFile(const std::string& path, const std::string& temporary_folder = "");
  ~AtomicFile();  // without commit() removes the temporary file
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  // Replaces bytes written before, for what is known only later.
  void write_at(int64_t offset, std::span<const std::byte> bytes);
  int64_t size() const { return size_; }  // bytes written so far
  // After the last write: all that may still fail for lack of space. The name is taken by commit() alone.
  void settle();
  void commit();  // once

 private:
  std::string path_;       // as the caller named it
  std::string target_;     // behind symbolic links
  std::string temporary_;  // empty once committed
  int descriptor_ = -1;
  int64_t size_ = 0;
};

// Output files that belong together: all are on the disk before the first one takes its name, and the others
// follow at once. Without commit() nothing has changed.
class AtomicFiles {
 public:
  void add(const std::string& path, std::span<const std::byte> bytes);
  void add(const std::string& path, const std::string& text);
  void commit();  // in the order in which they were added

 private:
  std::list<AtomicFile> files_;
};

// The path behind symbolic links, whether there is a file or not; of links in a circle one of them.
std::string behind_links(const std::string& path);

// Throws what writing a file of that name would, and leaves no trace: before hours of work, not after.
void check_writable(const std::string& path);

// Throws Error{device} for what the system's error number says: "path: [IO_NO_SPACE] ..." where space is
// lacking, else [IO_WRITE].
[[noreturn]] void fail_writing(const std::string& path, int error);

// Makes the names in a folder as lasting as fsync makes what is in the files.
void sync_folder(const std::string& folder);

// The whole content at once.
void write_file(const std::string& path, std::span<const std::byte> bytes);
void write_file(const std::string& path, const std::string& text);

}  // namespace tstitch
