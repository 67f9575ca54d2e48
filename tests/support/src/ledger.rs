//! What was asked of a store and what it answered, and whether what is found agrees.
//!
//! The tests that let a disk or an allocation fail note each creation with its [`Outcome`], say by a [`Demand`] what
//! must be found of it, and [`judge`] what is. The tests that kill processes keep a ledger of their own
//! (`tests/crashes`): a process that is killed cannot say what it was about to create, so that there a write without an
//! answer is known by what is found of it alone.

use std::fmt::Display;

/// Datasets that were created together: stored together or not at all.
#[derive(Clone, Debug)]
pub struct Creation<I, D> {
    /// Their ids, and how many KPIs each has.
    pub asked: Vec<(I, usize)>,
    /// What was answered.
    pub outcome: Outcome<D>,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<D> {
    /// It was acknowledged, with these.
    Acknowledged(Vec<D>),
    /// It was acknowledged as a part of a load, which does not give back what it stored.
    Loaded,
    /// An error said that nothing was written.
    Refused,
    /// The error said that the outcome is unknown.
    Unknown,
}

/// What must be found of a creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// All of it.
    Present,
    /// All of it, or nothing of it and of all that came later.
    InOrder,
    /// All of it, or nothing.
    Either,
    /// Nothing.
    Absent,
}

/// How what was found breaks the promise.
#[derive(Debug)]
pub enum Breach {
    /// It does not open, cannot be written, `verify` finds something, or it holds what was never stored.
    Corrupt(String),
    /// Something is there in part, or not as it was written.
    Partial(String),
    /// Something that was acknowledged is not there.
    Lost(String),
}

impl<D> Outcome<D> {
    /// Whether the write was acknowledged.
    pub fn is_acknowledged(&self) -> bool {
        matches!(self, Outcome::Acknowledged(_) | Outcome::Loaded)
    }

    /// What must be found of it while nothing else interferes.
    pub fn demand(&self) -> Demand {
        match self {
            Outcome::Acknowledged(_) | Outcome::Loaded => Demand::Present,
            Outcome::Unknown => Demand::Either,
            Outcome::Refused => Demand::Absent,
        }
    }
}

/// Holds what was found against the creations, in their order, and what is demanded of each. `identify` gives the id of
/// a dataset and how many KPIs it has.
///
/// # Errors
///
/// The first breach.
pub fn judge<'a, I, D>(
    creations: impl IntoIterator<Item = (&'a Creation<I, D>, Demand)>,
    found: &[D],
    identify: impl Fn(&D) -> (I, usize),
) -> Result<(), Breach>
where
    I: Display + PartialEq + 'a,
    D: PartialEq + 'a,
{
    let keys: Vec<(I, usize)> = found.iter().map(identify).collect();
    let mut is_known = vec![false; found.len()];
    let mut missing = None;
    for (index, (Creation { asked, outcome }, demand)) in creations.into_iter().enumerate() {
        let there: Vec<usize> =
            asked.iter().filter_map(|(id, _)| keys.iter().position(|(found, _)| found == id)).collect();
        if there.is_empty() {
            match demand {
                Demand::Present => return Err(Breach::Lost(format!("creation {index}"))),
                Demand::InOrder => missing = missing.or(Some(index)),
                Demand::Either | Demand::Absent => {}
            }
            continue;
        }
        if demand == Demand::Absent {
            return Err(Breach::Corrupt(format!("creation {index} is there and must not be")));
        }
        if let Some(missing) = missing {
            return Err(Breach::Corrupt(format!("creation {index} is there and {missing} before it is not")));
        }
        let is_whole = match outcome {
            Outcome::Acknowledged(created) => there.iter().map(|index| &found[*index]).eq(created),
            _ => there.iter().map(|index| &keys[*index]).eq(asked),
        };
        if !is_whole {
            return Err(Breach::Partial(format!("creation {index}: {} of {}", there.len(), asked.len())));
        }
        for index in there {
            is_known[index] = true;
        }
    }
    match is_known.iter().position(|is_known| !is_known) {
        Some(unexpected) => Err(Breach::Corrupt(format!("{} was never asked for", keys[unexpected].0))),
        None => Ok(()),
    }
}
