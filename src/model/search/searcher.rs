//! Looking for the words of a pattern in many texts.

use std::ops::Range;
use std::str::{self, Utf8Error};

use memchr::memmem::Finder;

use super::automaton::{Automaton, push};
use super::fold::Folder;
use super::pattern::Pattern;

/// So many bytes of texts are collected before they are looked at: a look at one short text costs more than its bytes.
const LOOK_AT: usize = 1_024;

/// Stands between two collected texts, and is in no word.
const SEPARATOR: u8 = b' ';

/// A search through the texts of many datasets. Its buffers are reused, so that a text without a match costs no
/// allocation.
#[derive(Debug)]
pub(crate) struct Searcher<'p> {
    words: Vec<Word<'p>>,
    /// The number of words not found yet.
    missing: usize,
    /// The texts of the dataset that were not looked at yet.
    collected: Vec<u8>,
    folder: Folder,
    /// For each byte of the folded text, the offset of the character that it comes from.
    origins: Vec<usize>,
    /// All words, once their ranges are asked for.
    automaton: Option<Automaton>,
}

#[derive(Debug)]
struct Word<'p> {
    finder: Finder<'p>,
    /// Whether the current dataset has it.
    found: bool,
}

impl<'p> Searcher<'p> {
    /// A search for `pattern`, before its first dataset.
    pub(crate) fn new(pattern: &'p Pattern) -> Self {
        let words: Vec<_> = pattern.words().map(|word| Word { finder: Finder::new(word), found: false }).collect();
        let missing = words.len();
        let (collected, origins) = (Vec::new(), Vec::new());
        Self { words, missing, collected, folder: Folder::default(), origins, automaton: None }
    }

    /// Begins another dataset: no word is found yet.
    pub(crate) fn begin(&mut self) {
        self.collected.clear();
        self.missing = self.words.len();
        for word in &mut self.words {
            word.found = false;
        }
    }

    /// Adds a text of the dataset, in which the words may be looked for later. Returns whether no word is missing any
    /// more; the other texts need not be added then. Fails if a text is not UTF-8.
    pub(crate) fn add(&mut self, text: &[u8]) -> Result<bool, Utf8Error> {
        self.collected.extend_from_slice(text);
        self.collected.push(SEPARATOR);
        if self.collected.len() < LOOK_AT { Ok(self.missing == 0) } else { self.finds_all() }
    }

    /// Looks in all texts that were added. Returns whether no word is missing.
    pub(crate) fn finds_all(&mut self) -> Result<bool, Utf8Error> {
        if self.missing > 0 && !self.collected.is_empty() {
            self.folder.clear();
            self.folder.push(str::from_utf8(&self.collected)?);
            for word in self.words.iter_mut().filter(|word| !word.found) {
                if word.finder.find(self.folder.folded()).is_some() {
                    word.found = true;
                    self.missing -= 1;
                }
            }
        }
        self.collected.clear();
        Ok(self.missing == 0)
    }

    /// The bytes of `text` where a word is found, each word wherever it is: ascending, apart from each other, on
    /// boundaries of characters.
    ///
    /// A character of which a part was found counts as a whole, with the marks that follow it.
    pub(crate) fn ranges(&mut self, text: &str) -> Vec<Range<usize>> {
        self.folder.clear();
        self.folder.push(text);
        let folded = self.folder.folded();
        if self.words.iter().all(|word| word.finder.find(folded).is_none()) {
            return Vec::new();
        }
        self.folder.clear();
        self.origins.clear();
        for (offset, c) in text.char_indices() {
            self.folder.push_char(c);
            self.origins.resize(self.folder.folded().len(), offset);
        }
        let folded = self.folder.folded();
        let words = self.words.iter().map(|word| word.finder.needle());
        let automaton = self.automaton.get_or_insert_with(|| Automaton::new(words));
        let mut ranges = Vec::new();
        for found in automaton.ranges(folded) {
            // Ranges that were apart may come from the same character, or from two that touch.
            if let Some(range) = origin(&self.origins, found.start, found.end, text.len()) {
                push(&mut ranges, range);
            }
        }
        ranges
    }
}

/// The bytes of the text that the bytes `start..end` of the folded text come from. Marks fold to nothing, so they
/// belong to the character before.
fn origin(origins: &[usize], start: usize, end: usize, text_len: usize) -> Option<Range<usize>> {
    let first = *origins.get(start)?;
    let last = *origins.get(end.checked_sub(1)?)?;
    let next = origins.get(end..)?.iter().find(|&&offset| offset != last);
    Some(first..next.copied().unwrap_or(text_len))
}
