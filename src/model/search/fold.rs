//! Folding: what remains of a character without case and diacritics.
//!
//! A character is decomposed (NFKD), its marks are removed, and the rest is case-folded; a letter that has no
//! decomposition becomes the plain one (`letters.rs`). Each character is folded by itself. The result is
//! that of folding the whole text, since only marks are reordered when a text is decomposed.

use std::iter;

use icu_casemap::CaseMapper;
use icu_normalizer::DecomposingNormalizer;
use icu_properties::CodePointMapData;
use icu_properties::props::{GeneralCategory, GeneralCategoryGroup};

use super::letters;

/// The number of characters that are remembered. Only texts in Han characters or Hangul have more different ones.
const SLOTS: usize = 4096;

/// The most bytes of a remembered folded character. Longer ones are rare: the longest has 33.
const SLOT_BYTES: usize = 11;

/// The bytes that are folded at once where all are ASCII.
const CHUNK: usize = 16;

/// The bits that are set in bytes outside ASCII.
const HIGH_BITS: u128 = u128::from_le_bytes([0x80; CHUNK]);

/// Folds texts into one buffer, and remembers what characters outside ASCII fold to.
#[derive(Debug, Default)]
pub(super) struct Folder {
    /// The folded text. What follows its `len` bytes is of no meaning.
    buffer: Vec<u8>,
    len: usize,
    /// The slot of a character is its code point modulo [`SLOTS`]. Empty until a text needs it.
    slots: Vec<Slot>,
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
    /// The text that was folded since [`clear`](Self::clear).
    pub(super) fn folded(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }

    /// Appends the folded text.
    pub(super) fn push(&mut self, text: &str) {
        let mut rest = text;
        while !rest.is_empty() {
            let bytes = rest.as_bytes();
            let mut chunk: [u8; CHUNK] = bytes.first_chunk().copied().unwrap_or_else(|| padded(bytes));
            let ascii = bytes.len().min((u128::from_le_bytes(chunk) & HIGH_BITS).trailing_zeros() as usize / 8);
            chunk.make_ascii_lowercase();
            self.write(chunk, ascii);
            let Some((_, after)) = rest.split_at_checked(ascii) else { return };
            rest = after;
            while let Some(c) = rest.chars().next().filter(|c| !c.is_ascii()) {
                self.push_other(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }

    /// Appends what `c` folds to.
    pub(super) fn push_char(&mut self, c: char) {
        match u8::try_from(c) {
            Ok(byte) if byte.is_ascii() => self.write([byte.to_ascii_lowercase()], 1),
            _ => self.push_other(c),
        }
    }

    /// Appends what `c` folds to, which is not ASCII.
    fn push_other(&mut self, c: char) {
        match self.slots.get(c as usize % SLOTS) {
            Some(slot) if slot.source == c => self.write(slot.bytes, slot.len.into()),
            _ => self.fold_and_remember(c),
        }
    }

    #[cold]
    fn fold_and_remember(&mut self, c: char) {
        let mut folded = String::new();
        fold_one(c, &mut folded);
        for part in folded.as_bytes().chunks(SLOT_BYTES) {
            self.write(padded::<SLOT_BYTES>(part), part.len());
        }
        if folded.len() <= SLOT_BYTES {
            self.slots.resize(SLOTS, EMPTY);
            if let (Some(slot), Ok(len)) = (self.slots.get_mut(c as usize % SLOTS), u8::try_from(folded.len())) {
                *slot = Slot { source: c, len, bytes: padded(folded.as_bytes()) };
            }
        }
    }

    /// Appends the first `len` of `bytes`. All are copied, since a constant number of bytes is a few instructions.
    fn write<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        if self.buffer.len() < self.len + N {
            self.buffer.resize(2 * (self.len + N), 0);
        }
        if let Some(to) = self.buffer.get_mut(self.len..).and_then(|rest| rest.first_chunk_mut()) {
            *to = bytes;
        }
        self.len += len;
    }
}

/// The first `N` of `bytes`, with zeros after the last.
fn padded<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut padded = [0; N];
    for (to, from) in padded.iter_mut().zip(bytes) {
        *to = *from;
    }
    padded
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

/// Whether a character is a mark of any kind (categories Mn, Mc and Me).
fn is_mark(c: char) -> bool {
    GeneralCategoryGroup::Mark.contains(CodePointMapData::<GeneralCategory>::new().get(c))
}
