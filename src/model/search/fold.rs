//! Folding: what remains of a character without case and diacritics.
//!
//! A character is decomposed (NFKD), its marks are removed, and the rest is case-folded; a letter that has no
//! decomposition becomes the plain one ([`letters`](super::letters)). Each character is folded by itself. The result is
//! that of folding the whole text, since only marks take another place when a text is decomposed.

use std::iter;

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizer;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::letters;

/// The number of characters that are remembered. A text in one alphabet has fewer different ones outside ASCII.
const SLOTS: usize = 1024;

/// The most bytes of a remembered folded character. Longer ones are rare: the longest has 33.
const SLOT_BYTES: usize = 11;

/// Folds texts, and remembers what characters outside ASCII fold to.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// A character's place is its number modulo [`SLOTS`]. Empty until a text needs it.
    slots: Vec<Slot>,
    scratch: String,
}

/// What `source` folds to.
#[derive(Clone, Copy, Debug)]
struct Slot {
    source: char,
    len: u8,
    bytes: [u8; SLOT_BYTES],
}

/// U+0000 is ASCII, and no slot is looked up for it.
const EMPTY: Slot = Slot { source: '\0', len: 0, bytes: [0; SLOT_BYTES] };

impl Folder {
    /// Appends the folded text to `folded`.
    pub(super) fn fold(&mut self, text: &str, folded: &mut Vec<u8>) {
        let mut rest = text;
        loop {
            let ascii = rest.bytes().take_while(u8::is_ascii).count();
            let Some((run, other)) = rest.split_at_checked(ascii) else { return };
            folded.extend(run.bytes().map(|byte| byte.to_ascii_lowercase()));
            let mut chars = other.chars();
            let Some(c) = chars.next() else { return };
            self.fold_char(c, folded);
            rest = chars.as_str();
        }
    }

    /// Appends what `c` folds to.
    pub(super) fn fold_char(&mut self, c: char, folded: &mut Vec<u8>) {
        if c.is_ascii() {
            folded.extend(u8::try_from(c).map(|byte| byte.to_ascii_lowercase()));
            return;
        }
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, EMPTY);
        }
        let Some(slot) = self.slots.get_mut(c as usize % SLOTS) else { return };
        if slot.source == c {
            folded.extend(slot.bytes.iter().take(slot.len.into()));
            return;
        }
        self.scratch.clear();
        fold_one(c, &mut self.scratch);
        let bytes = self.scratch.as_bytes();
        folded.extend_from_slice(bytes);
        if let (Some(place), Ok(len)) = (slot.bytes.get_mut(..bytes.len()), u8::try_from(bytes.len())) {
            place.copy_from_slice(bytes);
            (slot.source, slot.len) = (c, len);
        }
    }
}

/// The whole text, folded.
pub(super) fn folded(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        fold_one(c, &mut folded);
    }
    folded
}

/// Appends what `c` folds to.
fn fold_one(c: char, folded: &mut String) {
    for part in DecomposingNormalizer::new_nfkd().normalize_iter(iter::once(c)).filter(|&part| !is_mark(part)) {
        for plain in CaseMapper::new().fold_string(part.encode_utf8(&mut [0; 4])).chars() {
            match letters::plain(plain) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(plain),
            }
        }
    }
}

/// Whether a character is a mark of any kind: one that takes no room, takes room, or encloses.
fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}
