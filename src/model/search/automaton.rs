//! The words of a search as one automaton (Aho and Corasick), which finds all of them in one pass over a text.
//!
//! Its work is bounded by the length of the text, however many words there are and however often they overlap: "a",
//! "aa" and so on to "a" 40 times have 40 occurrences at each place of a long row of this letter. The crate
//! `aho-corasick`, which is in the tree with `regex`, returns every occurrence, so its work is not bounded so.

use std::collections::VecDeque;
use std::ops::Range;

#[derive(Debug)]
pub(super) struct Automaton {
    /// A node for each beginning of a word. The first is the empty one.
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// The nodes of the beginnings that are one byte longer, ascending by that byte.
    longer: Vec<(u8, usize)>,
    /// The node of the longest end of this beginning that is itself a beginning of a word.
    fallback: usize,
    /// The length of the longest word that ends here; 0 if none does.
    word: usize,
}

impl Automaton {
    /// The automaton of these words, none of which is empty.
    pub(super) fn new<'w>(words: impl Iterator<Item = &'w [u8]>) -> Self {
        let mut automaton = Self { nodes: vec![Node::default()] };
        words.for_each(|word| automaton.insert(word));
        // A fallback is shorter than its node, so all shorter nodes come first.
        let mut shorter_first = VecDeque::from([0]);
        while let Some(at) = shorter_first.pop_front() {
            let Node { longer, fallback, .. } = automaton.nodes.get(at).cloned().unwrap_or_default();
            for (byte, node) in longer {
                let fallback = if at == 0 { 0 } else { automaton.step(fallback, byte) };
                let word_of_fallback = automaton.nodes.get(fallback).map_or(0, |node| node.word);
                if let Some(node) = automaton.nodes.get_mut(node) {
                    node.fallback = fallback;
                    node.word = node.word.max(word_of_fallback);
                }
                shorter_first.push_back(node);
            }
        }
        automaton
    }

    fn insert(&mut self, word: &[u8]) {
        let mut at = 0;
        for &byte in word {
            let next = self.nodes.len();
            let Some(node) = self.nodes.get_mut(at) else { return };
            at = match node.longer.binary_search_by_key(&byte, |&(byte, _)| byte) {
                Ok(found) => node.longer.get(found).map_or(0, |&(_, node)| node),
                Err(place) => {
                    node.longer.insert(place, (byte, next));
                    self.nodes.push(Node::default());
                    next
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            node.word = word.len();
        }
    }

    /// The node of the longest beginning of a word with which the text ends, after `byte` was added to a text that
    /// ended with that of `at`.
    fn step(&self, mut at: usize, byte: u8) -> usize {
        while let Some(node) = self.nodes.get(at) {
            if let Ok(found) = node.longer.binary_search_by_key(&byte, |&(byte, _)| byte) {
                return node.longer.get(found).map_or(0, |&(_, node)| node);
            }
            if at == 0 {
                break;
            }
            at = node.fallback;
        }
        0
    }

    /// The bytes of the text that belong to an occurrence of a word: ascending, apart from each other.
    pub(super) fn ranges(&self, text: &[u8]) -> Vec<Range<usize>> {
        let mut ranges = Vec::new();
        let mut at = 0;
        for (end, &byte) in (1..).zip(text) {
            at = self.step(at, byte);
            // Shorter words that end here are a part of it.
            let word = self.nodes.get(at).map_or(0, |node| node.word);
            if word > 0 {
                push(&mut ranges, end - word..end);
            }
        }
        ranges
    }
}

/// Adds a range that ends no earlier than the others, as one with those that it overlaps or touches.
pub(super) fn push(ranges: &mut Vec<Range<usize>>, mut range: Range<usize>) {
    while let Some(last) = ranges.pop_if(|last| last.end >= range.start) {
        range = last.start.min(range.start)..last.end.max(range.end);
    }
    ranges.push(range);
}
