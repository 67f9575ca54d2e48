//! Where a store takes the ids from that a request does not set.
//!
//! The fresh ids of one call are consecutive, so that each can be guessed from another. They identify and order; they
//! are not secret, and knowing one grants no access.

use uuid::Uuid;

use super::uuid_v7::Reserved;

/// The source of the ids that a request does not set.
pub(crate) enum IdSource {
    /// Fresh ids of version 7.
    Fresh,
    /// A function of the application.
    Given(Box<dyn Fn() -> Uuid + Send + Sync>),
}

impl IdSource {
    /// The ids of one call, at most `max`. Fresh ids are reserved together, since reading the clock and the process id
    /// and taking the lock cost more than an id. Therefore they are consecutive.
    pub(crate) fn ids(&self, max: usize) -> Ids<'_> {
        match self {
            IdSource::Fresh => Ids::Fresh(Reserved::new(max)),
            IdSource::Given(id) => Ids::Given(id),
        }
    }
}

/// The ids of one call.
pub(crate) enum Ids<'a> {
    Fresh(Reserved),
    Given(&'a (dyn Fn() -> Uuid + Send + Sync)),
}

impl Ids<'_> {
    /// Whether they come from a function of the application, which may give the same one twice.
    pub(crate) fn are_given(&self) -> bool {
        matches!(self, Ids::Given(_))
    }

    pub(crate) fn next<T: From<Uuid>>(&mut self) -> T {
        match self {
            Ids::Fresh(reserved) => reserved.next(),
            Ids::Given(id) => id(),
        }
        .into()
    }
}
