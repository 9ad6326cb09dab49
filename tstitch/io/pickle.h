#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tstitch {

class PickleObject;

// What a Python pickle describes, as data. A pickle is a program for a stack machine, and Python's own
// imports and calls what it names; this one writes down that a call was asked for, of what name and with what
// arguments, and never looks a name up. Who reads the result knows a few names and ignores the rest.
//
// Objects that the program uses twice are shared, so the result may be a graph and even have cycles.
class Pickle {
 public:
  // Runs the program; `bytes` must outlive the result. Throws Error{input} with a code (robustness table PK1
  // and PK4-PK17, listed in tests/hostile/torch) for everything that is not a whole program of protocol 0 to
  // 5, and for names that no checkpoint needs and attacks use (pickle_names.h). Limits of our own: 48 MiB of
  // program, 2 million objects and as many elements of lists, tuples, dicts and sets, memo indices below 2
  // million, 1 million values on the stack, 1000 levels. They bound the memory beside the program to about 60
  // MiB and the time to less than a second.
  Pickle(std::span<const std::byte> bytes, const std::string& where);

  PickleObject root() const;
  size_t objects() const { return objects_.size(); }
  PickleObject object(size_t index) const;  // in the order of their making

 private:
  friend class PickleObject;
  friend class PickleMachine;

  enum class Kind : uint8_t {
    none,
    boolean,
    integer,
    number,  // a float, or an integer beyond 64 bits
    text,
    bytes,
    tuple,
    list,
    dict,  // elements: key, value, key, value ...
    set,
    global,      // a name: module and name in it
    call,        // of a global, or of what another call gave
    persistent,  // what the file keeps outside the pickle under an identification
  };

  struct Object {
    Kind kind;
    uint16_t depth = 0;  // levels of containers below
    union {
      struct {
        uint32_t first, last, count;  // of a container: its elements in links_
      } elements;
      struct {
        uint32_t begin, size;  // in bytes_
      } text;
      struct {
        uint32_t module, name;  // begins in bytes_
        uint16_t module_size, name_size;
      } global;
      struct {
        uint32_t callable, arguments;
        uint32_t contents;  // a dict, list or set of what the program put into the result; 0 for nothing
      } call;
      uint32_t identification;
      int32_t words[2];  // of an integer, kept in halves to need no alignment
    };
  };
  struct Link {
    uint32_t object, next;
  };

  std::string_view view(uint32_t begin, uint32_t size) const {
    return {reinterpret_cast<const char*>(bytes_.data()) + begin, size};
  }

  std::span<const std::byte> bytes_;
  std::deque<Object> objects_;  // grows without moving: a vector would need three times the memory
  std::deque<Link> links_;
  uint32_t root_ = 0;
};

// One object of a Pickle, which it must not outlive.
class PickleObject {
 public:
  bool is_none() const { return kind() == Kind::none; }
  bool is_number() const { return kind() == Kind::number; }  // not an integer of 64 bits
  bool is_tuple() const { return kind() == Kind::tuple; }
  bool is_dict() const { return kind() == Kind::dict; }
  bool is_global() const { return kind() == Kind::global; }
  bool is_call() const { return kind() == Kind::call; }
  bool is_persistent() const { return kind() == Kind::persistent; }

  std::optional<std::string_view> text() const;
  std::optional<int64_t> integer() const;

  // Of a container; nothing for other objects. Of a dict keys and values take turns.
  class Elements;
  Elements elements() const;
  size_t size() const;  // of elements()

  std::string_view module() const;  // of a global
  std::string_view name() const;
  bool is_global(std::string_view module, std::string_view name) const;
  std::string full_name() const;  // "torch.FloatStorage", for messages

  PickleObject callable() const;   // of a call
  PickleObject arguments() const;  // a tuple
  PickleObject contents() const;   // what was put into what the call gave: a container or None

  PickleObject identification() const;  // of a persistent object

  // What it is, for messages: "a dict", "the name torch.FloatStorage", "what collections.OrderedDict gives".
  std::string description() const;

  size_t index() const { return index_; }  // Pickle::object(index()) is this object

 private:
  friend class Pickle;
  using Kind = Pickle::Kind;
  PickleObject(const Pickle& pickle, uint32_t index) : pickle_(&pickle), index_(index) {}

  const Pickle::Object& object() const { return pickle_->objects_[index_]; }
  Kind kind() const { return object().kind; }
  PickleObject at(uint32_t index) const { return {*pickle_, index}; }

  const Pickle* pickle_;
  uint32_t index_;
};

class PickleObject::Elements {
 public:
  class Iterator {
   public:
    using iterator_category = std::input_iterator_tag;
    using value_type = PickleObject;
    using reference = PickleObject;
    using pointer = void;
    using difference_type = std::ptrdiff_t;

    PickleObject operator*() const;
    Iterator& operator++();
    bool operator==(const Iterator& other) const { return left_ == other.left_; }

   private:
    friend class Elements;
    Iterator(const Pickle* pickle, uint32_t link, uint32_t left)
        : pickle_(pickle), link_(link), left_(left) {}

    const Pickle* pickle_;
    uint32_t link_, left_;
  };

  Iterator begin() const { return {pickle_, first_, count_}; }
  Iterator end() const { return {pickle_, 0, 0}; }

 private:
  friend class PickleObject;
  Elements(const Pickle& pickle, uint32_t first, uint32_t count)
      : pickle_(&pickle), first_(first), count_(count) {}

  const Pickle* pickle_;
  uint32_t first_, count_;
};

}  // namespace tstitch
