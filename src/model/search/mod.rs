//! Text search: the words of a [`Pattern`](pattern::Pattern), and the [`Searcher`](searcher::Searcher) that looks for
//! them in the texts of datasets, without regard to case and diacritics.
//!
//! [`fold`] and [`letters`] say which characters are the same; [`automaton`] finds where in a text the words are;
//! [`text_match`] is what a search returns of a text.

mod automaton;
mod fold;
mod letters;
pub(crate) mod pattern;
pub(crate) mod searcher;
pub(crate) mod text_match;
