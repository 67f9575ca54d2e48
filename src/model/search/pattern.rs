//! The words of a search.

use super::fold::folded;

/// The words of a search, folded. A dataset matches if each word is found in one of its texts, anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pattern {
    /// The words in ascending order, each once, with a space between two.
    canonical: String,
}

impl Pattern {
    /// The words of `text`, between white space. `None` if there are none: such a search filters nothing.
    pub(crate) fn new(text: &str) -> Option<Self> {
        // Folding comes first: some characters, like U+00B4, fold to a space.
        let folded = folded(text);
        let mut words: Vec<_> = folded.split_whitespace().collect();
        words.sort_unstable();
        words.dedup();
        (!words.is_empty()).then(|| Self { canonical: words.join(" ") })
    }

    /// The words in ascending order, each once, with a space between two. Patterns with the same text find the same.
    pub(crate) fn canonical(&self) -> &str {
        &self.canonical
    }

    pub(super) fn words(&self) -> impl Iterator<Item = &str> {
        self.canonical.split(' ')
    }
}
