#include "client/saved_state.h"

#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "base/digest.h"
#include "base/status_macros.h"
#include "codecs/layout_codec.h"

namespace tally {
namespace {

static_assert(std::endian::native == std::endian::little, "states are little-endian");

constexpr absl::string_view kMagic = "TALLYOPT";
constexpr uint32_t kFormatVersion = 1;

uint64_t LayoutDigest(const Layout& layout) {
  return Digest64(absl::string_view(EncodeLayout(layout).SerializeAsString()));
}

template <typename T>
void AppendInteger(T value, std::string& to) {
  to.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

// Takes integers and strings off the front of bytes that nobody vouches for.
class Cursor {
 public:
  explicit Cursor(absl::string_view bytes) : rest_(bytes) {}

  bool at_end() const { return rest_.empty(); }

  absl::StatusOr<absl::string_view> Take(uint64_t size_bytes, absl::string_view what) {
    if (size_bytes > rest_.size()) {
      return absl::DataLossError(absl::StrCat("saved state: `", what, "` has ", size_bytes,
                                              " bytes, but only ", rest_.size(), " are left"));
    }
    const absl::string_view taken = rest_.substr(0, size_bytes);
    rest_.remove_prefix(size_bytes);
    return taken;
  }

  template <typename T>
  absl::StatusOr<T> TakeInteger(absl::string_view what) {
    TALLY_ASSIGN_OR_RETURN(const absl::string_view bytes, Take(sizeof(T), what));
    T value;
    std::memcpy(&value, bytes.data(), sizeof(T));
    return value;
  }

  absl::StatusOr<absl::string_view> TakeName(absl::string_view what) {
    TALLY_ASSIGN_OR_RETURN(const uint32_t size, TakeInteger<uint32_t>(what));
    return Take(size, what);
  }

 private:
  absl::string_view rest_;
};

}  // namespace

SavedStateWriter::SavedStateWriter(absl::string_view method, const Layout& layout, uint64_t steps,
                                   StateScope scope)
    : scope_(scope) {
  head_.append(kMagic.data(), kMagic.size());
  AppendInteger(kFormatVersion, head_);
  AppendInteger(static_cast<uint32_t>(method.size()), head_);
  head_.append(method.data(), method.size());
  AppendInteger(LayoutDigest(layout), head_);
  AppendInteger(steps, head_);
  if (is_shared()) AddBytes(kSharedSection, "");
}

void SavedStateWriter::AddBytes(absl::string_view name, absl::string_view content) {
  ++num_sections_;
  AppendInteger(static_cast<uint32_t>(name.size()), sections_);
  sections_.append(name.data(), name.size());
  AppendInteger(static_cast<uint64_t>(content.size()), sections_);
  sections_.append(content.data(), content.size());
}

std::string SavedStateWriter::Finish() && {
  AppendInteger(num_sections_, head_);
  std::string state = absl::StrCat(head_, sections_);
  AppendInteger(Digest64(absl::string_view(state)), state);
  return state;
}

absl::StatusOr<SavedState> SavedState::Parse(absl::string_view bytes) {
  if (bytes.substr(0, kMagic.size()) != kMagic) {
    return absl::DataLossError(absl::StrCat("saved state: must begin with `", kMagic, "`"));
  }
  const size_t digest_bytes = sizeof(uint64_t);
  if (bytes.size() < kMagic.size() + digest_bytes) {
    return absl::DataLossError(absl::StrCat("saved state: cut after ", bytes.size(), " bytes"));
  }
  const absl::string_view content = bytes.substr(0, bytes.size() - digest_bytes);
  uint64_t digest = 0;
  std::memcpy(&digest, bytes.data() + content.size(), digest_bytes);
  if (digest != Digest64(content)) {
    return absl::DataLossError(absl::StrCat("saved state: `digest` = ", absl::Hex(digest),
                                            ", must be that of the bytes before, ",
                                            absl::Hex(Digest64(content))));
  }

  Cursor cursor(content.substr(kMagic.size()));
  SavedState state;
  TALLY_ASSIGN_OR_RETURN(const uint32_t version, cursor.TakeInteger<uint32_t>("version"));
  if (version != kFormatVersion) {
    return absl::InvalidArgumentError(
        absl::StrCat("saved state: `version` = ", version, ", must be ", kFormatVersion));
  }
  TALLY_ASSIGN_OR_RETURN(state.method_, cursor.TakeName("method"));
  TALLY_ASSIGN_OR_RETURN(state.layout_digest_, cursor.TakeInteger<uint64_t>("layout"));
  TALLY_ASSIGN_OR_RETURN(state.steps_, cursor.TakeInteger<uint64_t>("steps"));
  TALLY_ASSIGN_OR_RETURN(const uint32_t num_sections, cursor.TakeInteger<uint32_t>("sections"));
  for (uint32_t i = 0; i < num_sections; ++i) {
    TALLY_ASSIGN_OR_RETURN(const absl::string_view name, cursor.TakeName("section"));
    TALLY_ASSIGN_OR_RETURN(const uint64_t size, cursor.TakeInteger<uint64_t>(name));
    TALLY_ASSIGN_OR_RETURN(const absl::string_view section, cursor.Take(size, name));
    state.sections_.emplace_back(name, section);
  }
  if (!cursor.at_end()) {
    return absl::DataLossError("saved state: bytes follow the last section");
  }
  return state;
}

absl::Status SavedState::CheckBelongsTo(absl::string_view method, const Layout& layout) const {
  if (method_ != method) {
    return absl::InvalidArgumentError(
        absl::StrCat("saved state: `method` = ", method_, ", must be ", method));
  }
  if (layout_digest_ != LayoutDigest(layout)) {
    return absl::InvalidArgumentError(absl::StrCat("saved state: `layout` has digest ",
                                                   absl::Hex(layout_digest_), ", must be ",
                                                   absl::Hex(LayoutDigest(layout))));
  }
  return absl::OkStatus();
}

bool SavedState::Has(absl::string_view name) const {
  for (const auto& section : sections_) {
    if (section.first == name) return true;
  }
  return false;
}

absl::StatusOr<absl::string_view> SavedState::Bytes(absl::string_view name) const {
  for (const auto& section : sections_) {
    if (section.first == name) return section.second;
  }
  return absl::InvalidArgumentError(
      absl::StrCat("saved state: no section `", name, "`: it was saved under other options"));
}

absl::Status SavedState::Copy(absl::string_view name, void* to, size_t size_bytes) const {
  TALLY_ASSIGN_OR_RETURN(const absl::string_view section, Bytes(name));
  if (section.size() != size_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("saved state: section `", name, "` has ",
                                                   section.size(), " bytes, must be ", size_bytes));
  }
  if (size_bytes > 0) std::memcpy(to, section.data(), size_bytes);
  return absl::OkStatus();
}

}  // namespace tally
