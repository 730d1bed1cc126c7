#include "client/saved_run.h"

#include <bit>
#include <cstddef>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "base/status_macros.h"
#include "client/saved_state.h"

namespace tally {
namespace {

constexpr absl::string_view kWhat = "run";
// Words per chunk in the section "chunks": round, half, chain, digest of the workers, bits of the
// norm.
constexpr size_t kWordsPerChunk = 5;

std::string SnapshotSection(size_t chunk) { return absl::StrCat("snapshot/", chunk); }

std::string LeaverSection(size_t i) { return absl::StrCat("inheritance/", i, "/leaver"); }
std::string ChunkSection(size_t i) { return absl::StrCat("inheritance/", i, "/chunk"); }
std::string ValuesSection(size_t i) { return absl::StrCat("inheritance/", i, "/values"); }

// The elements of a chunk.
absl::StatusOr<SharedBuffer> ReadElements(const SavedState& state, absl::string_view section,
                                          uint32_t num_elements) {
  TALLY_ASSIGN_OR_RETURN(const absl::string_view bytes, state.Bytes(section));
  const uint64_t expected = sizeof(float) * uint64_t{num_elements};
  if (bytes.size() != expected) {
    return absl::InvalidArgumentError(absl::StrCat("saved run: `", section, "` has ", bytes.size(),
                                                   " bytes, must have ", expected));
  }
  Buffer elements(bytes.size());
  std::memcpy(elements.data(), bytes.data(), bytes.size());
  return std::make_shared<const Buffer>(std::move(elements));
}

absl::StatusOr<Inheritance> ReadInheritance(const SavedState& state, const Layout& layout,
                                            size_t i) {
  Inheritance inheritance;
  TALLY_ASSIGN_OR_RETURN(const absl::string_view leaver, state.Bytes(LeaverSection(i)));
  inheritance.leaver = std::string(leaver);
  TALLY_RETURN_IF_ERROR(state.Values(ChunkSection(i), absl::MakeSpan(&inheritance.chunk, 1)));
  if (inheritance.chunk >= layout.chunks().size()) {
    return absl::InvalidArgumentError(absl::StrCat("saved run: `", ChunkSection(i),
                                                   "` = ", inheritance.chunk, ", must be below ",
                                                   layout.chunks().size()));
  }
  TALLY_ASSIGN_OR_RETURN(
      inheritance.payload,
      ReadElements(state, ValuesSection(i), layout.chunks()[inheritance.chunk].num_elements));
  return inheritance;
}

}  // namespace

std::string EncodeSavedRun(const SavedRun& run, const Layout& layout) {
  SavedStateWriter writer(kWhat, layout, run.next_round);
  writer.AddBytes("worker", run.worker);
  std::vector<uint64_t> words;
  words.reserve(kWordsPerChunk * run.chunks.size());
  for (const SavedRun::Chunk& chunk : run.chunks) {
    words.insert(words.end(), {chunk.place.round, chunk.place.half, chunk.chain,
                               chunk.workers_digest, std::bit_cast<uint64_t>(chunk.residual_norm)});
  }
  writer.AddValues<uint64_t>("chunks", words);
  for (size_t c = 0; c < run.chunks.size(); ++c) {
    if (run.chunks[c].snapshot == nullptr) continue;
    writer.AddValues<uint8_t>(SnapshotSection(c), run.chunks[c].snapshot->bytes());
  }
  for (size_t i = 0; i < run.inheritances.size(); ++i) {
    writer.AddBytes(LeaverSection(i), run.inheritances[i].leaver);
    writer.AddValues<uint32_t>(ChunkSection(i), {&run.inheritances[i].chunk, 1});
    writer.AddValues<uint8_t>(ValuesSection(i), run.inheritances[i].payload->bytes());
  }
  return std::move(writer).Finish();
}

absl::StatusOr<SavedRun> DecodeSavedRun(absl::string_view bytes, const Layout& layout) {
  TALLY_ASSIGN_OR_RETURN(const SavedState state, SavedState::Parse(bytes));
  TALLY_RETURN_IF_ERROR(state.CheckBelongsTo(kWhat, layout));
  SavedRun run;
  TALLY_ASSIGN_OR_RETURN(const absl::string_view worker, state.Bytes("worker"));
  run.worker = std::string(worker);
  run.next_round = state.steps();
  std::vector<uint64_t> words(kWordsPerChunk * layout.chunks().size());
  TALLY_RETURN_IF_ERROR(state.Values("chunks", absl::MakeSpan(words)));
  for (size_t c = 0; c < layout.chunks().size(); ++c) {
    const uint64_t* const word = words.data() + kWordsPerChunk * c;
    SavedRun::Chunk& chunk = run.chunks.emplace_back();
    chunk.place = {word[0], static_cast<uint32_t>(word[1])};
    chunk.chain = word[2];
    chunk.workers_digest = word[3];
    chunk.residual_norm = std::bit_cast<double>(word[4]);
    if (!state.Has(SnapshotSection(c))) continue;
    TALLY_ASSIGN_OR_RETURN(
        chunk.snapshot, ReadElements(state, SnapshotSection(c), layout.chunks()[c].num_elements));
  }
  for (size_t i = 0; state.Has(LeaverSection(i)); ++i) {
    TALLY_ASSIGN_OR_RETURN(Inheritance inheritance, ReadInheritance(state, layout, i));
    run.inheritances.push_back(std::move(inheritance));
  }
  return run;
}

}  // namespace tally
