//! Counts what is found wrong.

use std::fmt::Write as _;

use kpi_store_test_support::ledger::Breach;

/// How many images were checked, and what was wrong with them.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) images: usize,
    pub(super) corrupt: usize,
    pub(super) partial: usize,
    pub(super) lost: usize,
    /// The first breaches, each with the seed and the cut that repeat it.
    pub(super) complaints: String,
}

impl Tally {
    pub(super) fn count(&mut self, checked: Result<(), Breach>, what: impl FnOnce() -> String) {
        self.images += 1;
        let Err(breach) = checked else { return };
        let (count, kind, text) = match breach {
            Breach::Corrupt(text) => (&mut self.corrupt, "corrupt", text),
            Breach::Partial(text) => (&mut self.partial, "partial", text),
            Breach::Lost(text) => (&mut self.lost, "lost", text),
        };
        *count += 1;
        if self.breaches() <= 5 {
            writeln!(self.complaints, "{}: {kind}: {text}", what()).unwrap();
        }
    }

    pub(super) fn breaches(&self) -> usize {
        self.corrupt + self.partial + self.lost
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.images += other.images;
        self.corrupt += other.corrupt;
        self.partial += other.partial;
        self.lost += other.lost;
        self.complaints += &other.complaints;
    }

    pub(super) fn assert_clean(&self) {
        assert!(self.breaches() == 0, "{self}\n{}", self.complaints);
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { images, corrupt, partial, lost, .. } = self;
        write!(f, "{images} images: {corrupt} corrupt, {partial} partial, {lost} lost")
    }
}
