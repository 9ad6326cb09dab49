#include "tstitch/io/pickle.h"

#include <algorithm>
#include <charconv>
#include <cstring>

#include "tstitch/base/utf8.h"
#include "tstitch/io/pickle_names.h"
#include "tstitch/io/refuse.h"

namespace tstitch {
namespace {

constexpr size_t kMaxBytes = 48 << 20;
constexpr size_t kMaxObjects = 2'000'000;  // and elements
constexpr size_t kMaxMemo = 2'000'000;
constexpr size_t kMaxStack = 1'000'000;
constexpr uint16_t kMaxDepth = 1000;
constexpr size_t kMaxNameBytes = 1024;
constexpr uint8_t kMaxProtocol = 5;

// The instructions, named as in Python's pickletools.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kFloat = 'F',
  kBinFloat = 'G',
  kInt = 'I',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kLong = 'L',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersid = 'Q',
  kReduce = 'R',
  kString = 'S',
  kBinString = 'T',
  kShortBinString = 'U',
  kUnicode = 'V',
  kBinUnicode = 'X',
  kEmptyList = ']',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kAppends = 'e',
  kGet = 'g',
  kBinGet = 'h',
  kInst = 'i',
  kLongBinGet = 'j',
  kList = 'l',
  kObj = 'o',
  kPut = 'p',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kEmptyDict = '}',
  kEmptyTuple = ')',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kNewObjEx = 0x92,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
  kByteArray8 = 0x96,
};

}  // namespace

class PickleMachine {
 public:
  PickleMachine(Pickle& pickle, const std::string& where) : pickle_(pickle), where_(where) {
    if (bytes().size() > kMaxBytes)
      refuse(where_, "PKL_LIMIT", "a pickle of ", bytes().size(), " bytes, expected at most ", kMaxBytes);
    // What every program uses most is made once.
    for (Kind kind : {Kind::none, Kind::boolean}) make(kind);
    for (int32_t i = 0; i < 256; ++i) make_integer(i);
  }

  void run() {
    run_program();
    pickle_.root_ = stack_.back();
    if (position_ == bytes().size()) return;
    // Refused, but first for what is worst in it: an attack behind the end.
    const size_t end = position_;
    while (position_ < bytes().size()) run_program();
    refuse_at("PKL_TRAILING", end, bytes().size() - end, " bytes after the end of the program");
  }

 private:
  using Kind = Pickle::Kind;
  using Object = Pickle::Object;
  using Id = uint32_t;

  static constexpr Id kNoneId = 0, kBooleanId = 1, kSmallIntegers = 2;

  std::span<const std::byte> bytes() const { return pickle_.bytes_; }
  PickleObject handle(Id id) const { return pickle_.object(id); }
  Object& object(Id id) { return pickle_.objects_[id]; }

  template <class... Parts>
  [[noreturn]] void refuse_at(const char* code, size_t position, const Parts&... parts) const {
    refuse(where_, code, "pickle byte ", position, ": ", parts...);
  }
  template <class... Parts>
  [[noreturn]] void refuse_here(const char* code, const Parts&... parts) const {
    refuse_at(code, instruction_, parts...);
  }

  // --- the bytes of the program ---

  // The next `size` bytes, as a place in the program.
  size_t take(uint64_t size) {
    if (size > bytes().size() - position_)
      refuse_here("PKL_TRUNCATED", size, " bytes wanted, ", bytes().size() - position_, " are left");
    const size_t begin = position_;
    position_ += static_cast<size_t>(size);
    return begin;
  }

  template <class T>
  T next() {
    T value;
    const size_t begin = take(sizeof value);
    std::memcpy(&value, bytes().data() + begin, sizeof value);
    return value;
  }

  // Up to the next line feed, which is skipped.
  std::string_view line(const char* code) {
    const std::string_view rest =
        pickle_.view(static_cast<Id>(position_), static_cast<Id>(bytes().size() - position_));
    const size_t length = rest.find('\n');
    if (length == rest.npos) refuse_here(code, "no line feed at the end of a text");
    position_ += length + 1;
    return rest.substr(0, length);
  }

  Id place_of(std::string_view text) const {
    return static_cast<Id>(reinterpret_cast<const std::byte*>(text.data()) - bytes().data());
  }

  // --- objects ---

  Id make(Kind kind) {
    if (pickle_.objects_.size() == kMaxObjects)
      refuse_here("PKL_LIMIT", "more than ", kMaxObjects, " objects");
    Object& made = pickle_.objects_.emplace_back();
    made.kind = kind;
    made.elements = {};
    return static_cast<Id>(pickle_.objects_.size() - 1);
  }

  Id make_integer(int64_t value) {
    const Id id = make(Kind::integer);
    std::memcpy(object(id).words, &value, sizeof value);
    return id;
  }

  Id make_text(Kind kind, std::string_view text) {
    if (kind == Kind::text && valid_utf8_prefix(text) != text.size()) kind = Kind::bytes;
    const Id id = make(kind);
    object(id).text = {place_of(text), static_cast<Id>(text.size())};
    return id;
  }

  Id make_text(Kind kind, uint64_t size) {
    const size_t begin = take(size);
    return make_text(kind, pickle_.view(static_cast<Id>(begin), static_cast<Id>(size)));
  }

  Id make_global(std::string_view module, std::string_view name) {
    for (const std::string_view part : {module, name})
      if (part.empty() || part.size() > kMaxNameBytes || valid_utf8_prefix(part) != part.size())
        refuse_here("PKL_GLOBAL", "a name of ", part.size(), " bytes, expected 1 ... ", kMaxNameBytes,
                    " bytes of UTF-8");
    if (is_dangerous(module, name))
      refuse_here("PKL_DANGEROUS_GLOBAL", "it asks for ", printable(concat(module, ".", name)),
                  ", as files do that attack who loads them; nothing was run");
    const Id id = make(Kind::global);
    object(id).global = {place_of(module), place_of(name), static_cast<uint16_t>(module.size()),
                         static_cast<uint16_t>(name.size())};
    return id;
  }

  void add_element(Id container, Id element) {
    if (pickle_.links_.size() == kMaxObjects)
      refuse_here("PKL_LIMIT", "more than ", kMaxObjects, " elements of lists, tuples and dicts");
    const Id link = static_cast<Id>(pickle_.links_.size());
    pickle_.links_.push_back({element, 0});
    Object& to = object(container);
    if (to.elements.count++)
      pickle_.links_[to.elements.last].next = link;
    else
      to.elements.first = link;
    to.elements.last = link;
    deepen(container, element);
  }

  // Nothing here walks down recursively, so that a program may still hide levels (by filling what is already
  // inside) costs nothing.
  void deepen(Id outer, Id inner) {
    const auto depth = static_cast<uint16_t>(object(inner).depth + 1);
    if (depth > kMaxDepth) refuse_here("PKL_DEPTH", "nested more than ", kMaxDepth, " levels deep");
    if (depth > object(outer).depth) object(outer).depth = depth;
  }

  Id make_tuple(std::span<const Id> elements) {
    const Id id = make(Kind::tuple);
    for (const Id element : elements) add_element(id, element);
    return id;
  }

  Id make_call(Id callable, Id arguments) {
    const Kind kind = object(callable).kind;
    if (kind != Kind::global && kind != Kind::call)
      refuse_here("PKL_TYPE", "a call of ", handle(callable).description());
    if (object(arguments).kind != Kind::tuple)
      refuse_here("PKL_TYPE", "a call with ", handle(arguments).description(), ", expected a tuple");
    const Id id = make(Kind::call);
    object(id).call = {callable, arguments, kNoneId};
    deepen(id, arguments);
    deepen(id, callable);
    return id;
  }

  // --- the stack ---

  void push(Id id) {
    if (stack_.size() == kMaxStack) refuse_here("PKL_LIMIT", "more than ", kMaxStack, " values on the stack");
    stack_.push_back(id);
  }

  // How many values lie above the last mark.
  size_t available() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  void need(size_t values) const {
    if (available() < values)
      refuse_here("PKL_STACK", values, " values wanted from the stack, ", available(), " are on it");
  }

  Id top() const {
    need(1);
    return stack_.back();
  }

  Id pop() {
    const Id id = top();
    stack_.pop_back();
    return id;
  }

  // The values above the last mark, which is removed. Good until the next pop_mark or pop_many.
  std::span<const Id> pop_mark() {
    if (marks_.empty()) refuse_here("PKL_STACK", "a mark is wanted from the stack, none is on it");
    const size_t values = available();
    marks_.pop_back();
    return pop_values(values);
  }

  std::span<const Id> pop_many(size_t count) {
    need(count);
    return pop_values(count);
  }

  std::span<const Id> pop_values(size_t count) {
    popped_.assign(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return popped_;
  }

  // --- the memo ---

  void put(uint64_t index) {
    const Id value = top();
    if (index >= kMaxMemo) refuse_here("PKL_MEMO", "memo index ", index, ", expected less than ", kMaxMemo);
    if (index >= memo_.size()) memo_.resize(static_cast<size_t>(index) + 1, kUnset);
    if (memo_[index] == kUnset) ++memoized_;
    memo_[index] = value;
  }

  void get(uint64_t index) {
    if (index >= memo_.size() || memo_[index] == kUnset)
      refuse_here("PKL_MEMO", "nothing was put at memo index ", index);
    push(memo_[index]);
  }

  uint64_t index_line() {
    const std::string_view text = line("PKL_TRUNCATED");
    uint64_t index = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), index);
    if (error != std::errc() || end != text.data() + text.size())
      refuse_here("PKL_MEMO", "memo index \"", printable(std::string(text.substr(0, 40))), "\"");
    return index;
  }

  // --- instructions ---

  void run_program() {
    stack_.clear();
    marks_.clear();
    memo_.clear();
    memoized_ = 0;
    frame_end_ = 0;
    const size_t start = position_;
    for (;;) {
      instruction_ = position_;
      const auto opcode = next<uint8_t>();
      if (opcode == kStop) break;
      if (opcode == kProto && instruction_ != start)
        refuse_here("PKL_PROTOCOL", "the protocol is announced in the middle of the program");
      execute(opcode);
    }
    if (!marks_.empty() || stack_.size() != 1)
      refuse_here("PKL_STACK", "the program ends with ", stack_.size(), " values and ", marks_.size(),
                  " marks on the stack, expected one value");
  }

  void execute(uint8_t opcode) {
    switch (opcode) {
      case kProto:
        if (const auto protocol = next<uint8_t>(); protocol > kMaxProtocol)
          refuse_here("PKL_PROTOCOL", "protocol ", int{protocol}, ", expected at most ", int{kMaxProtocol});
        break;
      case kFrame:
        frame();
        break;

      case kMark:
        if (marks_.size() == kMaxDepth) refuse_here("PKL_DEPTH", "more than ", kMaxDepth, " marks at once");
        marks_.push_back(stack_.size());
        break;
      case kPop:
        // Python removes a mark when there is no value above it.
        if (!marks_.empty() && available() == 0)
          marks_.pop_back();
        else
          pop();
        break;
      case kPopMark:
        pop_mark();
        break;
      case kDup:
        push(top());
        break;

      case kPut:
        put(index_line());
        break;
      case kBinPut:
        put(next<uint8_t>());
        break;
      case kLongBinPut:
        put(next<uint32_t>());
        break;
      case kMemoize:
        put(memoized_);
        break;
      case kGet:
        get(index_line());
        break;
      case kBinGet:
        get(next<uint8_t>());
        break;
      case kLongBinGet:
        get(next<uint32_t>());
        break;

      case kNone:
        push(kNoneId);
        break;
      case kNewTrue:
      case kNewFalse:
        push(kBooleanId);
        break;
      case kBinInt:
        push_integer(next<int32_t>());
        break;
      case kBinInt1:
        push_integer(next<uint8_t>());
        break;
      case kBinInt2:
        push_integer(next<uint16_t>());
        break;
      case kInt:
      case kLong:
        integer_line(opcode);
        break;
      case kLong1:
        long_bytes(next<uint8_t>());
        break;
      case kLong4:
        long_bytes(next<int32_t>());
        break;
      case kFloat:
        line("PKL_TRUNCATED");
        push(make(Kind::number));
        break;
      case kBinFloat:
        take(8);
        push(make(Kind::number));
        break;

      case kString:
        push(string_line());
        break;
      case kUnicode:
        push(unicode_line());
        break;
      case kShortBinString:
      case kShortBinUnicode:
        push(make_text(Kind::text, next<uint8_t>()));
        break;
      case kBinString:
      case kBinUnicode:
        push(make_text(Kind::text, next<uint32_t>()));
        break;
      case kBinUnicode8:
        push(make_text(Kind::text, next<uint64_t>()));
        break;
      case kShortBinBytes:
        push(make_text(Kind::bytes, next<uint8_t>()));
        break;
      case kBinBytes:
        push(make_text(Kind::bytes, next<uint32_t>()));
        break;
      case kBinBytes8:
      case kByteArray8:
        push(make_text(Kind::bytes, next<uint64_t>()));
        break;

      case kEmptyTuple:
        push(make(Kind::tuple));
        break;
      case kTuple1:
      case kTuple2:
      case kTuple3:
        push(make_tuple(pop_many(size_t{opcode} - kTuple1 + 1)));
        break;
      case kTuple:
        push(make_tuple(pop_mark()));
        break;
      case kEmptyList:
        push(make(Kind::list));
        break;
      case kList:
        push_filled(Kind::list);
        break;
      case kEmptyDict:
        push(make(Kind::dict));
        break;
      case kDict:
        push_filled(Kind::dict);
        break;
      case kEmptySet:
        push(make(Kind::set));
        break;
      case kFrozenSet:
        push_filled(Kind::set);
        break;

      case kAppend:
        fill(Kind::list, pop_many(1));
        break;
      case kAppends:
        fill(Kind::list, pop_mark());
        break;
      case kSetItem:
        fill(Kind::dict, pop_many(2));
        break;
      case kSetItems:
        fill(Kind::dict, pop_mark());
        break;
      case kAddItems:
        fill(Kind::set, pop_mark());
        break;

      case kGlobal: {
        const std::string_view module = line("PKL_GLOBAL");
        push(make_global(module, line("PKL_GLOBAL")));
        break;
      }
      case kStackGlobal: {
        const auto names = pop_many(2);
        push(stack_global(names[0], names[1]));
        break;
      }
      case kReduce:
      case kNewObj: {
        const auto parts = pop_many(2);
        push(make_call(parts[0], parts[1]));
        break;
      }
      case kNewObjEx: {
        const auto parts = pop_many(3);
        if (object(parts[2]).kind != Kind::dict)
          refuse_here("PKL_TYPE", "named arguments are ", handle(parts[2]).description(),
                      ", expected a dict");
        push(make_call(parts[0], parts[1]));
        break;
      }
      case kInst: {
        const std::string_view module = line("PKL_GLOBAL");
        const Id callable = make_global(module, line("PKL_GLOBAL"));
        push(make_call(callable, make_tuple(pop_mark())));
        break;
      }
      case kObj: {
        const auto parts = pop_mark();
        if (parts.empty()) refuse_here("PKL_STACK", "nothing above the mark, expected what to call");
        push(make_call(parts[0], make_tuple(parts.subspan(1))));
        break;
      }
      case kBuild: {
        const Id state = pop();
        check_buildable(top());
        keep_parameters(top(), state);
        break;
      }
      case kBinPersid: {
        const Id identification = pop();
        const Id id = make(Kind::persistent);
        object(id).identification = identification;
        push(id);
        break;
      }
      default: {
        constexpr const char* kDigits = "0123456789abcdef";
        refuse_here("PKL_OPCODE", "the instruction 0x", kDigits[opcode >> 4], kDigits[opcode & 15],
                    " has no place in a checkpoint");
      }
    }
  }

  void frame() {
    const auto size = next<uint64_t>();
    if (instruction_ < frame_end_) refuse_here("PKL_TRUNCATED", "a frame inside a frame");
    if (size == 0 || size > bytes().size() - position_)
      refuse_here("PKL_TRUNCATED", "a frame of ", size, " bytes, ", bytes().size() - position_, " are left");
    frame_end_ = position_ + static_cast<size_t>(size);
  }

  void push_integer(int64_t value) {
    push(value >= 0 && value < 256 ? kSmallIntegers + static_cast<Id>(value) : make_integer(value));
  }

  void integer_line(uint8_t opcode) {
    std::string_view text = line("PKL_TRUNCATED");
    if (opcode == kInt && (text == "00" || text == "01")) return push(kBooleanId);
    if (opcode == kLong && text.ends_with('L')) text.remove_suffix(1);
    int64_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error == std::errc() && end == text.data() + text.size()) return push_integer(value);
    push(make(Kind::number));
  }

  void long_bytes(int64_t size) {
    if (size < 0) refuse_here("PKL_TRUNCATED", "an integer of ", size, " bytes");
    const size_t begin = take(static_cast<uint64_t>(size));
    if (size > 8) return push(make(Kind::number));
    // Two's complement, so the missing bytes are those of its sign.
    const bool negative =
        size && (bytes()[begin + static_cast<size_t>(size) - 1] & std::byte{0x80}) != std::byte{0};
    int64_t value = negative ? -1 : 0;
    std::memcpy(&value, bytes().data() + begin, static_cast<size_t>(size));
    push_integer(value);
  }

  // Text with escapes is nothing that we look for, so it is kept as bytes without decoding it.
  Id string_line() {
    std::string_view text = line("PKL_TRUNCATED");
    if (text.size() < 2 || text.front() != text.back() || (text.front() != '\'' && text.front() != '"'))
      refuse_here("PKL_TYPE", "a text without its quotes");
    text = text.substr(1, text.size() - 2);
    return make_text(text.find('\\') == text.npos ? Kind::text : Kind::bytes, text);
  }

  Id unicode_line() {
    const std::string_view text = line("PKL_TRUNCATED");
    return make_text(text.find('\\') == text.npos ? Kind::text : Kind::bytes, text);
  }

  Id stack_global(Id module, Id name) {
    const auto module_text = handle(module).text(), name_text = handle(name).text();
    if (!module_text || !name_text)
      refuse_here("PKL_GLOBAL", "a name made of ", handle(module).description(), " and ",
                  handle(name).description(), ", expected texts");
    return make_global(*module_text, *name_text);
  }

  void push_filled(Kind kind) {
    const auto elements = pop_mark();
    const Id id = make(kind);
    add_elements(id, kind, elements);
    push(id);
  }

  // Puts elements into the container below them on the stack.
  void fill(Kind kind, std::span<const Id> elements) { add_elements(container(top(), kind), kind, elements); }

  void add_elements(Id container, Kind kind, std::span<const Id> elements) {
    if (kind == Kind::dict && elements.size() % 2) refuse_here("PKL_TYPE", "a key without a value");
    const size_t step = kind == Kind::dict ? 2 : 1;
    for (size_t i = 0; kind != Kind::list && i < elements.size(); i += step) check_hashable(elements[i]);
    for (const Id element : elements) add_element(container, element);
  }

  void check_hashable(Id key) {
    const Kind kind = object(key).kind;
    if (kind == Kind::list || kind == Kind::dict || kind == Kind::set)
      refuse_here("PKL_TYPE", handle(key).description(), " as a key");
  }

  // Where elements of `target` go: into itself, or what a call gave, when that may be such a container.
  Id container(Id target, Kind kind) {
    const Kind found = object(target).kind;
    if (found == kind) return target;
    const char* what = kind == Kind::dict ? "items" : "elements";
    if (found != Kind::call) refuse_here("PKL_TYPE", what, " put into ", handle(target).description());
    const PickleObject callable = handle(object(target).call.callable);
    if (callable.is_global()) {
      const bool ordered = callable.is_global("collections", "OrderedDict");
      if (ordered ? kind != Kind::dict : !gives_container(callable.module(), callable.name()))
        refuse_here("PKL_TYPE", what, " put into ", handle(target).description());
    }
    if (object(target).call.contents == kNoneId) {
      const Id contents = make(kind);
      object(target).call.contents = contents;
    }
    const Id contents = object(target).call.contents;
    if (object(contents).kind != kind)
      refuse_here("PKL_TYPE", what, " put into ", handle(contents).description());
    return contents;
  }

  void check_buildable(Id target) {
    if (object(target).kind != Kind::call)
      refuse_here("PKL_TYPE", "attributes given to ", handle(target).description());
  }

  // Attributes of an object are no weights, but for those of a torch.nn.ParameterDict: its items.
  void keep_parameters(Id target, Id state) {
    constexpr int kMostAttributes = 64;  // a state may be given to many
    Object& dict = object(target);
    if (!handle(dict.call.callable).is_global("torch.nn.modules.container", "ParameterDict") ||
        dict.call.contents != kNoneId || !handle(state).is_dict())
      return;
    int attributes = 0;
    for (auto it = handle(state).elements().begin(), end = handle(state).elements().end();
         it != end && attributes < kMostAttributes; ++it, ++attributes) {
      const bool found = (*it).text() == "_parameters";
      const PickleObject value = *++it;
      if (!found) continue;
      const PickleObject items = value.is_call() ? value.contents() : value;  // an OrderedDict's
      if (items.is_dict()) dict.call.contents = static_cast<Id>(items.index());
    }
  }

  static constexpr Id kUnset = ~Id{0};

  Pickle& pickle_;
  const std::string& where_;
  size_t position_ = 0;
  size_t instruction_ = 0;  // where the one being executed begins
  size_t frame_end_ = 0;
  std::vector<Id> stack_;
  std::vector<Id> popped_;
  std::vector<size_t> marks_;
  std::vector<Id> memo_;
  size_t memoized_ = 0;
};

Pickle::Pickle(std::span<const std::byte> bytes, const std::string& where) : bytes_(bytes) {
  PickleMachine(*this, where).run();
}

PickleObject Pickle::root() const { return {*this, root_}; }
PickleObject Pickle::object(size_t index) const { return {*this, static_cast<uint32_t>(index)}; }

std::optional<std::string_view> PickleObject::text() const {
  if (kind() != Kind::text) return std::nullopt;
  return pickle_->view(object().text.begin, object().text.size);
}

std::optional<int64_t> PickleObject::integer() const {
  if (kind() != Kind::integer) return std::nullopt;
  int64_t value;
  std::memcpy(&value, object().words, sizeof value);
  return value;
}

size_t PickleObject::size() const {
  const bool container =
      kind() == Kind::tuple || kind() == Kind::list || kind() == Kind::dict || kind() == Kind::set;
  return container ? object().elements.count : 0;
}

PickleObject::Elements PickleObject::elements() const {
  return {*pickle_, object().elements.first, static_cast<uint32_t>(size())};
}

PickleObject PickleObject::Elements::Iterator::operator*() const {
  return {*pickle_, pickle_->links_[link_].object};
}

PickleObject::Elements::Iterator& PickleObject::Elements::Iterator::operator++() {
  if (--left_) link_ = pickle_->links_[link_].next;
  return *this;
}

std::string_view PickleObject::module() const {
  return pickle_->view(object().global.module, object().global.module_size);
}

std::string_view PickleObject::name() const {
  return pickle_->view(object().global.name, object().global.name_size);
}

bool PickleObject::is_global(std::string_view module, std::string_view name) const {
  return is_global() && this->module() == module && this->name() == name;
}

PickleObject PickleObject::callable() const { return at(object().call.callable); }
PickleObject PickleObject::arguments() const { return at(object().call.arguments); }
PickleObject PickleObject::contents() const { return at(object().call.contents); }
PickleObject PickleObject::identification() const { return at(object().identification); }

std::string PickleObject::description() const {
  constexpr const char* kKinds[] = {"None",   "a boolean",         "an integer",     "a number", "a text",
                                    "bytes",  "a tuple",           "a list",         "a dict",   "a set",
                                    "a name", "what a call gives", "a stored object"};
  if (is_global()) return "the name " + full_name();
  if (is_call() && callable().is_global()) return "what " + callable().full_name() + " gives";
  return kKinds[static_cast<size_t>(kind())];
}

std::string PickleObject::full_name() const {
  return concat(printable(std::string(module()), 60), ".", printable(std::string(name()), 60));
}

}  // namespace tstitch
